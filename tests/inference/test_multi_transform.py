import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as transforms

from datastill.inference.box_voting import vote
from datastill.inference.multi_transform import mean_heatmaps, predict, run_views, view_boxes
from datastill.inference.views import Inference, View, all_views
from datastill.instances import Instances
from datastill.model.detector import build_detector

PLAIN = View(64, 200)
VIEWS = all_views([48, 64, 80], 100, flip=True)


def seen(image, view):
    """The network's input and its (x, y) scale, one image at a time."""
    height, width = image.shape[-2:]
    scale = min(view.short_side / min(height, width), view.long_side / max(height, width))
    size = [round(height * scale), round(width * scale)]
    pixels = transforms.resize(image, size, antialias=True).float() / 255
    if view.flip:
        pixels = torch.stack([pixels[:, :, -1 - i] for i in range(size[1])], dim=2)
    return pixels, size[1] / width, size[0] / height


def softmax(logits):
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def seen_heatmaps(detector, image, boxes, view, flip_indices):
    pixels, x_scale, y_scale = seen(image, view)
    mapped = []
    for x1, y1, x2, y2 in boxes.tolist():
        left, right = x1 * x_scale, x2 * x_scale
        if view.flip:
            left, right = pixels.shape[2] - right, pixels.shape[2] - left
        mapped.append([left, y1 * y_scale, right, y2 * y_scale])
    batch, features = detector.features([pixels])
    logits = detector.heatmaps(batch, features, [torch.tensor(mapped)])[0].double().numpy()
    upright = np.zeros_like(logits)
    bins = logits.shape[-1]
    for instance in range(len(logits)):
        for keypoint in range(len(flip_indices)):
            heatmap = softmax(logits[instance, flip_indices[keypoint] if view.flip else keypoint])
            for column in range(bins):
                source = bins - 1 - column if view.flip else column
                upright[instance, keypoint, :, column] = heatmap[:, source]
    return upright


def refine(values, place):
    if place in (0, len(values) - 1):
        return place + 0.5
    left, middle, right = (math.log(values[place + step]) for step in (-1, 0, 1))
    return place + 0.5 + (left - right) / (2 * (left - 2 * middle + right))


def reference(detector, image, inference):
    """Boxes, scores and keypoints by the paper's words, slowly."""
    with torch.no_grad():
        pixels, x_scale, y_scale = seen(image, inference.single_scale)
        (found,) = detector.boxes(*detector.features([pixels]))
        boxes = found.boxes / torch.tensor([x_scale, y_scale, x_scale, y_scale])
        maps = [
            seen_heatmaps(detector, image, boxes, view, inference.flip_indices)
            for view in inference.views
        ]
    return boxes, found.scores, points_of(sum(maps) / len(maps), boxes)


def points_of(heatmaps, boxes):
    keypoints = np.zeros((*heatmaps.shape[:2], 3))
    for i, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        for k, heatmap in enumerate(heatmaps[i]):
            row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
            u = refine(heatmap[row], column) / heatmap.shape[1]
            v = refine(heatmap[:, column], row) / heatmap.shape[0]
            keypoints[i, k] = x1 + u * (x2 - x1), y1 + v * (y2 - y1), heatmap.max()
    return torch.from_numpy(keypoints).float()


def assert_same(ours, theirs, atol=1e-4):
    assert len(ours) == len(theirs)
    assert torch.allclose(ours.boxes, theirs.boxes, atol=1e-2)
    assert torch.allclose(ours.scores, theirs.scores, atol=atol)
    assert torch.equal(ours.labels, theirs.labels)
    assert torch.allclose(ours.keypoints[..., 2], theirs.keypoints[..., 2], atol=atol)
    assert torch.allclose(ours.keypoints[..., :2], theirs.keypoints[..., :2], atol=1e-2)


@pytest.mark.parametrize("views", [VIEWS, (PLAIN,), (View(71, 100, flip=True),)])
def test_predictions_are_those_of_a_plain_slow_reference(detector, noise, flip_indices, views):
    images = [noise(61, 83, 1), noise(61, 83, 2), noise(90, 52, 3)]
    inference = Inference(PLAIN, views, flip_indices)
    for image, ours in zip(images, predict(detector, images, inference), strict=True):
        boxes, scores, keypoints = reference(detector, image, inference)
        assert len(ours) == 4
        assert_same(ours, Instances(boxes, scores, ours.labels, keypoints))
        assert ours.keypoints[..., 2].max() > 0.05  # a peak, not the flat 1 / 784


@torch.no_grad()
def test_evidence_is_how_far_the_keypoints_of_each_view_are_off(detector, noise, flip_indices):
    image, how = noise(61, 83, 1), Inference(PLAIN, VIEWS, flip_indices)
    (found,) = run_views(detector, [image], how)
    boxes, points = found.instances.boxes, found.instances.keypoints[..., :2]
    maps = [seen_heatmaps(detector, image, boxes, view, flip_indices) for view in VIEWS]
    own = torch.stack([points_of(each, boxes)[..., :2] for each in maps])
    unit = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt()[:, None]
    far = (own - points).norm(dim=-1) / unit
    spread = far.square().mean(0).sqrt()
    torch.testing.assert_close(found.evidence.spread, spread, rtol=0, atol=1e-3)
    assert ((far <= 0.049).sum(0) <= found.evidence.agreeing).all()
    assert (found.evidence.agreeing <= (far <= 0.051).sum(0)).all()
    mean, peaks = mean_heatmaps(detector, image, boxes, how)
    np.testing.assert_allclose(mean, sum(maps) / len(maps), atol=1e-4)
    torch.testing.assert_close(peaks, own, rtol=0, atol=1e-2)


def test_every_view_counts(detector, noise, flip_indices):
    image = noise(61, 83)
    (whole,) = predict(detector, [image], Inference(PLAIN, VIEWS, flip_indices))
    for left_out in VIEWS:
        views = tuple(view for view in VIEWS if view != left_out)
        (fewer,) = predict(detector, [image], Inference(PLAIN, views, flip_indices))
        assert torch.equal(fewer.boxes, whole.boxes)
        assert (fewer.keypoints - whole.keypoints)[..., 2].abs().max() > 1e-3


def test_the_order_of_the_views_changes_nothing(detector, noise, flip_indices):
    images = [noise(61, 83, 1), noise(90, 52, 3)]
    forward = predict(detector, images, Inference(PLAIN, VIEWS, flip_indices))
    backward = predict(detector, images, Inference(PLAIN, VIEWS[::-1], flip_indices))
    for one, other in zip(forward, backward, strict=True):
        assert_same(one, other, atol=1e-6)


def test_company_does_not_change_what_is_found_in_an_image(detector, noise, flip_indices):
    sizes = [(61, 83), (90, 52), (61, 83), (70, 70), (62, 83)]
    images = [noise(*size, seed) for seed, size in enumerate(sizes)]
    inference = Inference(PLAIN, VIEWS, flip_indices)
    together = predict(detector, images, inference)
    for image, found in zip(images, together, strict=True):
        (alone,) = predict(detector, [image], inference)
        assert_same(found, alone)


def test_images_without_a_find_have_no_instances_and_others_keep_theirs(
    detector, noise, flip_indices
):
    images = [noise(61, 83, seed) for seed in range(3)]
    inference = Inference(PLAIN, VIEWS, flip_indices)
    best = [float(found.scores.max()) for found in predict(detector, images, inference)]
    low, high = sorted(best)[1:]
    detector.rcnn.roi_heads.score_thresh = (low + high) / 2
    for score, found in zip(best, predict(detector, images, inference), strict=True):
        assert found.keypoints.shape == (len(found), 17, 3)
        assert (len(found) > 0) == (score == high)


def test_an_image_without_a_find_costs_one_pass(detector, noise, flip_indices, monkeypatch):
    detector.rcnn.roi_heads.score_thresh = 1.0
    passes, features = [], detector.features
    monkeypatch.setattr(
        detector, "features", lambda images: passes.append(len(images)) or features(images)
    )
    found = predict(
        detector, [noise(61, 83), noise(61, 83, 1)], Inference(PLAIN, VIEWS, flip_indices)
    )
    assert passes == [2]
    assert [tuple(instances.keypoints.shape) for instances in found] == [(0, 17, 3)] * 2


def test_no_images_have_no_predictions(detector, flip_indices):
    assert predict(detector, [], Inference(PLAIN, VIEWS, flip_indices)) == []


def test_the_flipped_view_of_a_mirrored_image_is_the_mirror_of_the_plain_one(
    detector, noise, flip_indices, monkeypatch
):
    image = noise(64, 90)
    boxes = torch.tensor([[5.0, 3.0, 40.0, 60.0], [30.5, 10.0, 88.0, 50.0]])
    mirrored = torch.tensor([[50.0, 3.0, 85.0, 60.0], [2.0, 10.0, 59.5, 50.0]])

    def keypoints(pixels, placed, view):
        instances = Instances(placed, torch.ones(2), torch.ones(2).long(), torch.zeros(2, 0, 3))
        monkeypatch.setattr(detector, "boxes", lambda batch, features: [instances])
        return predict(detector, [pixels], Inference(PLAIN, (view,), flip_indices))[0].keypoints

    plain = keypoints(image, boxes, PLAIN)
    turned = keypoints(image.flip(-1), mirrored, View(64, 200, flip=True))
    x, y, probability = plain[:, list(flip_indices)].unbind(-1)
    assert torch.allclose(turned, torch.stack([90 - x, y, probability], -1), atol=1e-3)
    assert not torch.allclose(turned[:, list(flip_indices)], turned, atol=1)


def test_the_images_and_the_weights_stay_as_they_were(detector, noise, flip_indices):
    image = noise(61, 83)
    before = image.clone(), {k: v.clone() for k, v in detector.state_dict().items()}
    predict(detector, [image], Inference(PLAIN, VIEWS, flip_indices))
    assert torch.equal(image, before[0])
    assert all(torch.equal(v, before[1][k]) for k, v in detector.state_dict().items())


IDS = (1, 3, 44, 90)


@pytest.fixture
def box_detector():
    """A small detector of boxes of four categories, with random but decided weights."""
    torch.manual_seed(3)
    detector = build_detector("small", 0, categories=4).eval()
    detector.rcnn.roi_heads.score_thresh = 0.0
    detector.rcnn.roi_heads.detections_per_img = 12
    return detector


def box_inference(views):
    return Inference(PLAIN, tuple(views), (), categories=IDS, voting_iou=0.6)


@torch.no_grad()
def found_in_view(detector, image, view):
    """What one view alone finds, mapped back by hand, with COCO ids."""
    pixels, x_scale, y_scale = seen(image, view)
    (found,) = detector.boxes(*detector.features([pixels]))
    boxes = []
    for x1, y1, x2, y2 in found.boxes.tolist():
        left, right = (pixels.shape[2] - x2, pixels.shape[2] - x1) if view.flip else (x1, x2)
        boxes.append([left / x_scale, y1 / y_scale, right / x_scale, y2 / y_scale])
    labels = torch.tensor([IDS[label - 1] for label in found.labels.tolist()])
    return Instances(torch.tensor(boxes), found.scores, labels, found.keypoints)


def test_boxes_are_what_the_views_elect_each_mapped_back_into_the_image(box_detector, noise):
    images = [noise(64, 90), noise(61, 83, seed=1), noise(64, 90, seed=2)]
    for image, found in zip(
        images, run_views(box_detector, images, box_inference(VIEWS)), strict=True
    ):
        views = [found_in_view(box_detector, image, view) for view in VIEWS]
        voted = vote(views, 0.6, 12)
        expected = voted.instances
        assert len(expected) == 12
        assert found.instances.labels.tolist() == expected.labels.tolist()
        torch.testing.assert_close(found.instances.boxes, expected.boxes, rtol=0, atol=0.01)
        torch.testing.assert_close(found.instances.scores, expected.scores, rtol=0, atol=1e-4)
        assert found.evidence.views.tolist() == voted.evidence.views.tolist()
        assert found.evidence.spread.shape == (12, 0)
        assert set(found.instances.labels.tolist()) <= set(IDS)


def test_boxes_are_put_to_the_vote_in_fp32_whatever_the_networks_precision(box_detector, noise):
    image, inference = noise(128, 180), replace(box_inference(VIEWS), precision="bf16-mixed")
    expected = vote(view_boxes(box_detector, image, inference), 0.6, 12).instances
    (found,) = predict(box_detector, [image], inference)
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=1e-3)


def test_the_boxes_of_one_view_stand_as_they_are(box_detector, noise):
    image = noise(64, 90)
    for view in (PLAIN, View(64, 200, flip=True)):
        (found,) = run_views(box_detector, [image], box_inference([view]))
        expected = found_in_view(box_detector, image, view)
        torch.testing.assert_close(found.instances.boxes, expected.boxes, rtol=0, atol=0.01)
        assert found.evidence.views.tolist() == [1] * len(expected)
        assert not found.evidence.box_spread.any()


def test_the_order_of_the_views_changes_no_box(box_detector, noise):
    image = noise(64, 90)
    (first,), (again,) = (
        predict(box_detector, [image], box_inference(views)) for views in (VIEWS, VIEWS[::-1])
    )
    assert first.labels.tolist() == again.labels.tolist()
    torch.testing.assert_close(first.boxes, again.boxes, rtol=0, atol=1e-3)


def test_the_boxes_of_each_view_can_be_had_one_by_one(box_detector, noise):
    image = noise(64, 90)
    views = view_boxes(box_detector, image, box_inference(VIEWS))
    assert len(views) == len(VIEWS)
    expected = vote(views, 0.6, 12).instances
    (found,) = predict(box_detector, [image], box_inference(VIEWS))
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=0.01)


def test_nothing_to_find_is_no_box(box_detector, noise):
    box_detector.rcnn.roi_heads.score_thresh = 1.0
    (found,) = run_views(box_detector, [noise(64, 90)], box_inference(VIEWS))
    assert len(found.instances) == len(found.evidence.views) == 0
