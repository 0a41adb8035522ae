import re
import resource
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from datastill.errors import DataError
from datastill.model.checkpoint import load_detector, load_state, save_state, save_weights
from datastill.model.detector import build_detector

NAMES = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
CARD = {"backbone": "small", "start": "initial", "keypoints": NAMES, "score": 1 / 3, "note": "é"}


class Bomb:
    """An object whose unpickling makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def trained(detector, batch):
    """A detector after one step, whose statistics are no longer those of a fresh one."""
    optimizer = torch.optim.SGD(detector.train().parameters(), lr=0.01)
    sum(detector(batch).values()).backward()
    optimizer.step()
    return detector.eval(), optimizer


@torch.inference_mode()
def predict(detector, images):
    batch, features = detector.features(images)
    (found,) = detector.boxes(batch, features)
    (heatmaps,) = detector.heatmaps(batch, features, [found.boxes])
    return found.boxes, found.scores, heatmaps


def test_a_detector_comes_back_with_its_card_and_predicts_the_same(tmp_path, trained, images):
    detector, _ = trained
    save_weights(tmp_path / "model.safetensors", detector, CARD)
    loaded, card = load_detector(tmp_path / "model.safetensors")
    assert card == CARD
    assert not loaded.training
    for one, other in zip(detector.state_dict().items(), loaded.state_dict().items(), strict=True):
        assert one[0] == other[0]
        assert torch.equal(one[1], other[1])
    seen, expected = (predict(each, images((96, 128))) for each in (loaded, detector))
    assert len(expected[0]) > 0
    assert all(map(torch.equal, seen, expected))


def test_equal_weights_are_equal_bytes_under_any_name(tmp_path, trained):
    detector, _ = trained
    save_weights(tmp_path / "one.safetensors", detector, CARD)
    save_weights(tmp_path / "a" / "two", detector, dict(reversed(CARD.items())))
    one, two = tmp_path / "one.safetensors", tmp_path / "a" / "two"
    assert one.read_bytes() == two.read_bytes()
    loaded, card = load_detector(one)
    save_weights(tmp_path / "again", loaded, card)
    assert (tmp_path / "again").read_bytes() == one.read_bytes()
    next(detector.parameters()).data += 1
    save_weights(two, detector, CARD)
    assert two.read_bytes() != one.read_bytes()


def test_writing_makes_the_folder_and_leaves_nothing_else_in_it(tmp_path, detector):
    for _ in range(2):
        save_weights(tmp_path / "a" / "model", detector, CARD)
        save_state(tmp_path / "a" / "state.pt", {"iteration": 1})
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"model", "state.pt"}


def test_a_model_that_cannot_be_written_whole_stays_as_it_was(tmp_path, detector):
    path = tmp_path / "model"
    save_weights(path, detector, CARD)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_weights(path, detector, {"keypoints": {1, 2}})
    assert path.read_bytes() == before


@pytest.mark.parametrize("write", [partial(save_state, state={"a": torch.zeros(9000)}), None])
def test_a_full_disk_is_an_error_of_the_operating_system(tmp_path, detector, write):
    write = write or partial(save_weights, detector=detector, card=CARD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(tmp_path / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_others_may_read_a_model_as_any_new_file(tmp_path, detector):
    save_weights(tmp_path / "model", detector, CARD)
    (tmp_path / "other").touch()
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_an_absent_model_is_named(tmp_path):
    with pytest.raises(DataError, match=f"{re.escape(str(tmp_path))}/none: no trained model"):
        load_detector(tmp_path / "none")
    with pytest.raises(DataError, match=re.escape(str(tmp_path))):
        load_detector(tmp_path)


@pytest.mark.parametrize("kept", [0, 5, 500, -1])
def test_a_model_cut_short_is_named(tmp_path, detector, kept):
    path = tmp_path / "model"
    save_weights(path, detector, CARD)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=f"{re.escape(str(path))}: not a model of datastill"):
        load_detector(path)


def test_a_model_with_a_damaged_head_is_named(tmp_path, detector):
    path = tmp_path / "model"
    save_weights(path, detector, CARD)
    content = path.read_bytes()
    path.write_bytes(content[:8] + bytes(200) + content[208:])
    with pytest.raises(DataError, match=re.escape(str(path))):
        load_detector(path)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"card": "{}"},
        {"card": '{"backbone": "small", "start": "initial"}'},
        {"card": '{"backbone": "small", "start": "initial", "keypoints": ["nose"]}'},
    ],
)
def test_safetensors_of_something_else_are_named(tmp_path, metadata):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata=metadata)
    with pytest.raises(DataError, match=re.escape(str(path))):
        load_detector(path)


def test_weights_of_another_number_of_keypoints_than_the_card_says_are_named(tmp_path, detector):
    path = tmp_path / "model"
    save_weights(path, detector, {**CARD, "keypoints": NAMES[:4]})
    with pytest.raises(DataError, match=re.escape(str(path))):
        load_detector(path)


def test_the_state_of_a_training_comes_back(tmp_path, trained):
    detector, optimizer = trained
    state = {
        "fingerprint": "abc",
        "iteration": 7,
        "detector": detector.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    save_state(tmp_path / "state.pt", state)
    loaded = load_state(tmp_path / "state.pt")
    assert loaded.keys() == state.keys()
    assert (loaded["fingerprint"], loaded["iteration"]) == ("abc", 7)
    assert all(torch.equal(loaded["detector"][k], v) for k, v in detector.state_dict().items())
    fresh = build_detector("small", 5)
    fresh.load_state_dict(loaded["detector"])
    resumed = torch.optim.SGD(fresh.parameters(), lr=1.0)
    resumed.load_state_dict(loaded["optimizer"])
    assert resumed.param_groups[0]["lr"] == 0.01


def test_code_in_a_state_is_refused_and_not_executed(tmp_path):
    path, mark = tmp_path / "state.pt", tmp_path / "executed"
    save_state(path, {"iteration": 7, "detector": Bomb(mark)})
    assert not mark.exists()
    with pytest.raises(DataError, match=re.escape(str(path))):
        load_state(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize(
    "card", ["not json", "[]", '{"backbone": "vast", "start": "random", "keypoints": ["a"]}']
)
def test_a_card_that_is_none_of_ours_is_named(tmp_path, card):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata={"card": card})
    with pytest.raises(DataError, match=re.escape(str(path))):
        load_detector(path)


def test_a_damaged_state_is_named(tmp_path):
    path = tmp_path / "state.pt"
    path.write_bytes(b"no state")
    with pytest.raises(DataError, match=re.escape(str(path))):
        load_state(path)


@pytest.mark.parametrize(("keypoints", "usual"), [(NAMES, 20), ([], 100)])
@pytest.mark.parametrize("times", [1, 3])
def test_a_model_predicts_as_many_objects_as_its_card_allows(tmp_path, keypoints, usual, times):
    most = times * usual
    built = build_detector("small", len(keypoints), max_detections=most)
    card = {**CARD, "keypoints": keypoints, "categories": ["person"]}
    save_weights(tmp_path / "a", built, card | ({} if times == 1 else {"max_detections": most}))
    loaded, _ = load_detector(tmp_path / "a")
    assert loaded.rcnn.roi_heads.detections_per_img == most
    rpn = getattr(loaded.rcnn.rpn, "rpn", loaded.rcnn.rpn)
    rpn.eval()
    plain = build_detector("small", len(keypoints)).rcnn.rpn
    plain = getattr(plain, "rpn", plain).eval()
    assert rpn.post_nms_top_n() == times * plain.post_nms_top_n()


def test_a_detector_of_boxes_comes_back_with_its_categories(tmp_path, images):
    torch.manual_seed(1)
    detector = build_detector("small", 0, categories=3).eval()
    named = [{"id": number, "name": f"thing {number}"} for number in (1, 44, 90)]
    card = {**CARD, "keypoints": [], "categories": named}
    save_weights(tmp_path / "model.safetensors", detector, card)
    loaded, found = load_detector(tmp_path / "model.safetensors")
    assert found == card
    with torch.inference_mode():
        seen, expected = (
            each.boxes(*each.features(images((96, 128))))[0] for each in (loaded, detector)
        )
    assert len(expected) > 0
    assert torch.equal(seen.boxes, expected.boxes)
    assert torch.equal(seen.labels, expected.labels)
