"""Detectors that start from torchvision's; the files are written by torchvision's constructors."""

from pathlib import Path

import pytest
import torch
from published_files import as_published
from torchvision.models import get_model, get_model_weights

from datastill.coco.format import PERSON
from datastill.coco.metadata import card_metadata
from datastill.errors import DataError, ParamsError
from datastill.model.backbones import PUBLISHED, published_detector
from datastill.model.detector import build_detector
from datastill.model.torchvision_detectors import FROM_COCO, find_published, start_from_coco

KEYPOINTS, BOXES = "keypointrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn"
MOBILE = "fasterrcnn_mobilenet_v3_large_fpn"
NAMES = get_model_weights(BOXES).DEFAULT.meta["categories"]
PEOPLE = card_metadata([PERSON], keypoints=True)
HEIGHT, WIDTH = 128, 160


def boxes_of(*names):
    return card_metadata([{"id": i, "name": n} for i, n in enumerate(names, 3)], keypoints=False)


EIGHTY = boxes_of(*(name for name in NAMES[1:] if name != "N/A"))


def fresh(name, metadata):
    torch.manual_seed(1)
    categories = len(metadata.categories)
    return build_detector(PUBLISHED[name][0], len(metadata.skeleton), categories=categories)


def started(path, name, metadata):
    detector = fresh(name, metadata)
    return detector, start_from_coco(path, name, detector, metadata)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metadata"), [(KEYPOINTS, PEOPLE), (BOXES, EIGHTY), (MOBILE, EIGHTY)]
)
@torch.inference_mode()
def test_before_any_training_it_predicts_as_torchvision(
    published_file,
    published,
    name,
    metadata,
    images,
):
    detector, origins = started(published_file(name), name, metadata)
    assert {*origins.values()} == {FROM_COCO}
    seen = images((HEIGHT, WIDTH), (HEIGHT, WIDTH), seed=3)
    batch, features = detector.eval().features(seen)
    ours = detector.boxes(batch, features)
    most = detector.rcnn.roi_heads.detections_per_img
    reference, logits = published(name, min_size=HEIGHT, box_detections_per_img=most), []
    if metadata.skeleton:
        reference.roi_heads.keypoint_predictor.register_forward_hook(
            lambda *answer: logits.append(answer[-1])
        )
    for one, other in zip(ours, reference(seen), strict=True):
        assert len(one.boxes) >= 5
        assert [NAMES.index(metadata.categories[i - 1]["name"]) for i in one.labels] == [
            *other["labels"]
        ]
        torch.testing.assert_close(one.scores, other["scores"], atol=1e-4, rtol=0)
        torch.testing.assert_close(one.boxes, other["boxes"], atol=1e-3, rtol=0)
    if metadata.skeleton:
        heatmaps = torch.cat(detector.heatmaps(batch, features, [each.boxes for each in ours]))
        assert heatmaps.std() > 0.1
        torch.testing.assert_close(heatmaps, *logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_tensor_of_torchvision_is_accounted_for(name, published_file):
    path = published_file(name)
    stored = torch.load(path, weights_only=True)
    with torch.device("meta"):
        now = get_model(name, weights=None, weights_backbone=None)
    shapes = {as_published(each): tensor.shape for each, tensor in now.state_dict().items()}
    shapes = {each: shape for each, shape in shapes.items() if "num_batches" not in each}
    assert {each: tensor.shape for each, tensor in stored.items()} == shapes
    backbone, keypoints = PUBLISHED[name]
    with torch.device("meta"):  # torchvision's list counts no frozen normalisation
        ours = build_detector(backbone, keypoints, categories=1 if keypoints else 90).rcnn
    parameters = sum(parameter.numel() for parameter in ours.parameters())
    assert parameters == get_model_weights(name).DEFAULT.meta["num_params"]


def predictor(detector, name):
    return detector.rcnn.roi_heads.box_predictor.state_dict()[name]


def test_categories_are_matched_by_name_and_others_stay_fresh(published_file):
    metadata = boxes_of("zebra", "unicorn", "person")
    detector, origins = started(published_file(BOXES), BOXES, metadata)
    assert origins["box predictor"] == "from COCO; fresh: COCO has no unicorn"
    assert origins["body"] == origins["box head"] == FROM_COCO
    stored = torch.load(published_file(BOXES), weights_only=True)
    for layer, numbers in (("cls_score.weight", 1), ("cls_score.bias", 1), ("bbox_pred.bias", 4)):
        rows = stored[f"roi_heads.box_predictor.{layer}"].split(numbers)
        before = predictor(fresh(BOXES, metadata), layer).split(numbers)
        expected = [rows[0], rows[NAMES.index("zebra")], before[2], rows[1]]
        assert torch.equal(predictor(detector, layer), torch.cat(expected))


def hands(count):
    names = ["wrist", *(f"tip {number}" for number in range(count - 1))]
    return card_metadata([{"id": 3, "name": "hand", "keypoints": names}], keypoints=True)


@pytest.mark.parametrize(
    ("count", "reason"),
    [(4, "4 keypoints instead of 17"), (17, "other keypoints than COCO's")],
)
def test_predictors_of_other_things_stay_fresh_and_are_named(
    published_file,
    count,
    reason,
):
    metadata = hands(count)
    detector, origins = started(published_file(KEYPOINTS), KEYPOINTS, metadata)
    assert origins.pop("box predictor") == "fresh: COCO has no hand"
    assert origins.pop("keypoint predictor") == f"fresh: {reason}"
    assert {*origins} == {"body", "pyramid", "RPN", "box head", "keypoint head"}
    assert {*origins.values()} == {FROM_COCO}
    before = fresh(KEYPOINTS, metadata).state_dict()
    kept = {name for name, t in detector.state_dict().items() if torch.equal(t, before[name])}
    assert {name for name in before if "predictor" in name} <= kept
    assert not {n for n in kept if n.endswith("weight") and "predictor" not in n}


def test_a_detector_of_boxes_gives_all_but_the_keypoint_head(published_file):
    _, origins = started(published_file(MOBILE), MOBILE, PEOPLE)
    parts = {"keypoint head", "keypoint predictor"}
    assert {part for part, origin in origins.items() if origin != FROM_COCO} == parts
    assert {origins[part] for part in parts} == {"fresh: a detector of boxes has none"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state.pop("rpn.head.cls_logits.bias"), r"without rpn\.head\.cls_logits\.b"),
        (lambda state: state.update(more=torch.ones(2)), "with others more"),
        (lambda state: state.update({"rpn.head.cls_logits.bias": torch.ones(2)}), "size mismatch"),
        (lambda state: state.clear() or state.update(features=torch.ones(1)), r"and \d+ more"),
    ],
)
def test_a_tensor_too_many_or_too_few_is_one_error_that_names_it(
    published_file,
    tmp_path,
    change,
    reason,
):
    state = torch.load(published_file(BOXES), weights_only=True, mmap=True)
    change(state)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(DataError, match=rf"other\.pth: expected the tensors of .*{reason}") as told:
        started(tmp_path / "other.pth", BOXES, EIGHTY)
    assert len(str(told.value)) < 600


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "cut.pth").write_bytes(b"PK not at all")
    with pytest.raises(DataError, match=r"cut\.pth: damaged"):
        started(tmp_path / "cut.pth", BOXES, EIGHTY)


def test_torchvisions_detector_is_fetched_once_or_named(tmp_path, monkeypatch):
    asked = []

    def download(url, path, hash_prefix):
        asked.append((url, hash_prefix))
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for _ in range(2):
        path = find_published(KEYPOINTS, {})
    assert path == tmp_path / "checkpoints" / "keypointrcnn_resnet50_fpn_coco-fc266e95.pth"
    assert asked == [(get_model_weights(KEYPOINTS).DEFAULT.url, "fc266e95")]
    named = {"resnet50": str(path)}
    assert find_published(BOXES, named) == path
    with pytest.raises(
        DataError, match=r"absent\.pth: no such file; train\.initial_files\.resnet50"
    ):
        find_published(BOXES, {"resnet50": "absent.pth"})


def test_a_backbone_has_the_detector_of_its_task():
    assert published_detector("resnet50", 4) == KEYPOINTS
    assert published_detector("resnet50", 0) == BOXES
    assert {published_detector("mobilenet_v3_large", keypoints) for keypoints in (0, 4)} == {MOBILE}
    with pytest.raises(ParamsError, match="no detector on resnet101, only on resnet50, mob"):
        published_detector("resnet101", 17)
