"""`export --onnx`: onnxruntime finds what PyTorch finds, in images of any size."""

import doctest
import json
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torchvision.ops import MultiScaleRoIAlign

from datastill.commands import export, export_onnx
from datastill.commands.onnx_graph import DetectorGraph, pool_boxes
from datastill.errors import ParamsError
from datastill.inference.heatmaps import decode, probabilities
from datastill.inference.multi_transform import predict
from datastill.inference.predictor import load_folder
from datastill.inference.views import Inference, View
from datastill.io import digest
from datastill.model.checkpoint import save_weights
from datastill.model.detector import build_detector
from datastill.model.model_ensemble import ModelEnsemble

BIRD = {"id": 7, "name": "bird", "keypoints": ["beak", "tail", "crest"]}
BOXES = [{"id": 7, "name": "bird"}, {"id": 3, "name": "cat"}, {"id": 12, "name": "dog"}]
VIEWS = {
    "plain_short_side": 96, "plain_long_side": 128, "short_sides": [96], "long_side": 128,
    "flip": False, "voting_iou": 0.5, "batch": 1, "precision": "32-true",
}  # fmt: skip
SIZES = [(100, 150), (96, 96), (33, 47), (241, 130)]  # height and width; the first is traced
MODELS = {
    "keypoints": ("small", [BIRD]),
    "boxes": ("small", BOXES),
    "mobilenet": ("mobilenet_v2", [BIRD]),
}


def noise(height, width):
    pixels = np.random.default_rng(height).integers(0, 256, (3, height // 8, width // 8))
    coarse = torch.from_numpy(pixels.astype(np.float32))[None]
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return smooth[0].to(torch.uint8)


def blank(height, width):
    return torch.full((3, height, width), 128, dtype=torch.uint8)


@torch.no_grad()
def random_detector(backbone, keypoints=0, categories=1, seed=2):
    """A detector of random but decided weights: without ties, whose order is arbitrary."""
    torch.manual_seed(seed)
    detector = build_detector(backbone, keypoints, categories=categories, train_all_layers=True)
    heads = detector.eval().rcnn.roi_heads
    batch, features = detector.features([noise(100, 150) / 255])
    rpn = getattr(detector.rcnn.rpn, "rpn", detector.rcnn.rpn)
    logits, offsets = rpn.head([*features.values()])
    rpn.head.cls_logits.weight /= torch.cat([level.flatten() for level in logits]).std()
    rpn.head.bbox_pred.weight /= 5 * torch.cat([level.flatten() for level in offsets]).std()
    proposals, _ = detector.rcnn.rpn(batch, features)
    hidden = heads.box_head(heads.box_roi_pool(features, proposals, batch.image_sizes))
    last = heads.box_predictor.cls_score
    last.weight /= (last(hidden) @ torch.tensor([-1.0, *[1 / categories] * categories])).std()
    last.bias -= last(hidden).mean(0)
    heads.detections_per_img = 8
    if keypoints:
        predictor = heads.keypoint_predictor
        weight = getattr(predictor, "kps_score_lowres", predictor).weight
        weight *= 5 / detector.heatmaps(batch, features, [proposals[0][:8]])[0].std()
    return detector


@torch.no_grad()
def ignore_blanks(detector):
    """Raise the background's score so that a blank image has no detection."""
    while len(detector.boxes(*detector.features([blank(100, 140) / 255]))[0]):
        detector.rcnn.roi_heads.box_predictor.cls_score.bias[0] += 0.5


@pytest.fixture(scope="module", params=MODELS)
def folder(request, tmp_path_factory):
    """An exported folder of a random detector, with its ONNX file."""
    backbone, categories = MODELS[request.param]
    keypoints = categories[0].get("keypoints", [])
    folder = tmp_path_factory.mktemp(request.param)
    card = {
        "backbone": backbone, "keypoints": keypoints, "categories": categories, "start": "random",
    }  # fmt: skip
    detector = random_detector(backbone, len(keypoints), len(categories))
    if backbone == "small":
        ignore_blanks(detector)
    save_weights(folder / "weights.safetensors", detector, card)
    lineage = {"weights": digest(folder / "weights.safetensors")}
    card = {"format": 1, "views": VIEWS, "lineage": lineage}
    (folder / "card.json").write_text(json.dumps(card))
    assert export_onnx.run(folder).startswith(str(folder / "model.onnx"))
    return folder


def by_onnx(folder, image):
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": image.numpy()}), strict=True))


def by_torch(folder, image):
    model = load_folder(folder)
    view = View(*sorted(image.shape[1:]))
    indices = model.metadata.skeleton.flip_indices
    inference = Inference(view, (view,), indices, categories=model.metadata.ids)
    return vars(predict(model.detector, [image], inference)[0])


@pytest.mark.slow
def test_onnxruntime_finds_what_pytorch_finds_in_images_of_any_size(folder):
    for size in SIZES:
        image = noise(*size)
        expected = by_torch(folder, image)
        outputs = by_onnx(folder, image)
        assert len(expected["scores"]) > 1
        for name, values in outputs.items():
            np.testing.assert_allclose(values, expected[name], rtol=0, atol=1e-3, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["keypoints", "boxes"], indirect=True)
def test_an_image_without_objects_has_empty_outputs(folder):
    outputs = by_onnx(folder, blank(100, 140))
    shapes = {"boxes": (0, 4), "scores": (0,), "labels": (0,), "keypoints": (0, 3, 3)}
    assert {name: values.shape for name, values in outputs.items()} == {
        name: shapes[name] for name in outputs
    }
    assert ("keypoints" in outputs) == bool(load_folder(folder).detector.heatmap)


@pytest.mark.slow
def test_the_documented_example_finds_what_predict_finds_in_an_image_of_another_scale(
    folder, tmp_path, monkeypatch
):
    image = noise(48, 60)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    (tmp_path / "model.onnx").symlink_to(folder / "model.onnx")
    monkeypatch.chdir(tmp_path)
    names = {}
    test = doctest.DocTestParser().get_doctest(export_onnx.__doc__, names, "example", None, None)
    assert doctest.DocTestRunner().run(test, clear_globs=False).failed == 0
    best = load_folder(folder).predict([image])[0][0]
    x, y, width, height = best["bbox"]
    np.testing.assert_allclose(test.globs["boxes"][0], [x, y, x + width, y + height], atol=0.5)
    for points in test.globs["points"]:  # none of a detector of boxes
        expected = np.reshape(best["keypoints"], (-1, 3))[:, :2]
        np.testing.assert_allclose(points[0], expected, atol=0.5)
    assert test.globs["labels"][0] == best["category_id"]
    metadata = test.globs["scale"]
    assert json.loads(metadata["categories"])[str(best["category_id"])] in ("bird", "cat", "dog")
    assert metadata["weights"] == digest(folder / "weights.safetensors")


@pytest.mark.parametrize("backbone", ["mobilenet_v3_large", "ensemble"])
def test_the_graph_of_any_detector_finds_what_the_detector_finds(backbone):
    if backbone == "ensemble":
        detector = ModelEnsemble([random_detector("slim", 3, seed=i) for i in range(2)])
    else:
        detector = random_detector(backbone, 3)
    image = noise(100, 150)
    with torch.inference_mode():
        boxes, scores, _, keypoints = DetectorGraph(detector, [7])(image)
        batch, features = detector.features([image / 255])
        (expected,) = detector.boxes(batch, features)
        (logits,) = detector.heatmaps(batch, features, [expected.boxes])
    assert len(boxes) > 1
    torch.testing.assert_close(boxes, expected.boxes, rtol=0, atol=1e-3)
    torch.testing.assert_close(scores, expected.scores, rtol=0, atol=1e-3)
    points = decode(probabilities(logits), expected.boxes)
    torch.testing.assert_close(keypoints, points, rtol=0, atol=1e-3)


def test_a_box_is_pooled_from_the_level_of_its_size():
    pool = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, sampling_ratio=2)
    levels = {str(i): torch.rand(1, 2, 256 >> i, 256 >> i) for i in range(4)}
    sides = torch.tensor([[50.0], [150.0], [300.0], [900.0]])
    boxes = torch.cat([sides / 20, sides / 10, sides, sides], 1)
    expected = pool(levels, [boxes], [(1024, 1024)])
    assert pool.map_levels([boxes]).tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(pool_boxes(pool, levels, boxes), expected)


def test_without_the_extra_one_error_says_what_to_install_before_anything_is_written(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(export_onnx, "find_spec", lambda name: None)
    with pytest.raises(ParamsError, match=r"needs onnx and onnxscript: `uv pip install data.*onnx"):
        export.run(SimpleNamespace(), "row", tmp_path / "new", champion=False, onnx=True)
    with pytest.raises(ParamsError, match="--onnx needs"):
        export_onnx.run(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_new_weights_leave_no_onnx_file_of_others(tmp_path, monkeypatch):
    weights = tmp_path / "models/row/weights.safetensors"
    save_weights(weights, build_detector("slim", 0), {})
    profile = SimpleNamespace(model=lambda row: weights.parent, weights=lambda row: weights)
    monkeypatch.setattr(export, "model_card", lambda profile, row: {})
    (tmp_path / "out").mkdir()
    (tmp_path / "out/model.onnx").write_text("of other weights")
    export.write_model(profile, "row", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "card.json", "weights.safetensors",
    }  # fmt: skip


def test_an_exported_folder_has_no_other_place_and_is_no_champion(datastill, tmp_path):
    (tmp_path / "card.json").write_text("{}")
    for option in (("--to", "new"), ("--champion",)):
        answer = datastill("export", str(tmp_path), "--onnx", *option, cwd=tmp_path)
        assert answer.returncode == 1
        assert "is exported already; --to, --champion and --yolo are for rows" in answer.stderr
    answer = datastill("export", str(tmp_path), "--onnx", cwd=tmp_path)
    assert answer.returncode == 1
    assert "expected the card of an exported model" in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]
