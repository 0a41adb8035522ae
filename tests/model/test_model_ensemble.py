import pytest
import torch

from datastill.errors import DataError
from datastill.model.checkpoint import join_weights, load_detector, load_into, save_weights
from datastill.model.detector import build_detector

NAMES = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
CARD = {"backbone": "small", "start": "random", "keypoints": NAMES, "categories": [{"id": 1}]}


@pytest.fixture
def members(tmp_path):
    """Three files of different weights, of two backbones."""
    paths = []
    for seed, backbone in enumerate(("small", "slim", "small")):
        torch.manual_seed(seed)
        paths.append(tmp_path / f"{seed}.safetensors")
        detector = build_detector(backbone, 5)
        for parameter in detector.rcnn.roi_heads.keypoint_predictor.parameters():
            parameter.data *= 1000  # untrained heatmaps are flat
        save_weights(paths[-1], detector, {**CARD, "backbone": backbone})
    return paths


@torch.inference_mode()
def test_an_ensemble_finds_the_first_ones_boxes_and_the_mean_of_all_heatmaps(
    tmp_path, members, images
):
    join_weights(tmp_path / "joined", members)
    together, card = load_detector(tmp_path / "joined")
    alone = [load_detector(path)[0] for path in members]
    batch, features = together.features(images((96, 128)))
    (found,) = together.boxes(batch, features)
    (expected,) = alone[0].boxes(*alone[0].features(images((96, 128))))
    assert torch.equal(found.boxes, expected.boxes)
    assert len(found.boxes) > 0
    (logits,) = together.heatmaps(batch, features, [found.boxes])
    each = []
    for member in alone:
        own, pyramid = member.features(images((96, 128)))
        (seen,) = member.heatmaps(own, pyramid, [found.boxes])
        each.append(seen.double().flatten(2).softmax(-1))
    assert torch.allclose(logits.flatten(2).softmax(-1).double(), sum(each) / 3, atol=1e-6)
    assert (each[0] - each[1]).abs().max() > 0.01
    assert card["keypoints"] == NAMES
    assert [member["backbone"] for member in card["members"]] == ["small", "slim", "small"]


def test_members_must_look_for_the_same(tmp_path, members):
    save_weights(members[1], build_detector("small", 4), {**CARD, "keypoints": NAMES[:4]})
    with pytest.raises(DataError, match=r"1\.safetensors: does not detect the same as .*0\."):
        join_weights(tmp_path / "joined", members)


def test_an_ensemble_is_no_member(tmp_path, members):
    join_weights(tmp_path / "joined", members)
    with pytest.raises(DataError, match="is an ensemble itself"):
        join_weights(tmp_path / "more", [members[0], tmp_path / "joined"])


def test_a_detector_takes_all_weights_of_another_or_says_why_not(members):
    detector = build_detector("small", 5)
    load_into(detector, members[0])
    expected, _ = load_detector(members[0])
    pairs = zip(detector.state_dict().values(), expected.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    with pytest.raises(DataError, match="not a model of this backbone"):
        load_into(detector, members[1])
