import numpy as np
import pytest
import torch

from datastill.inference.roi_fpn import features_around
from datastill.model.detector import build_detector
from datastill.model.model_ensemble import ModelEnsemble

HEIGHT, WIDTH = 500, 610  # no multiple of any stride
CROWD = [[0, 0, 60, 50], [590, 430, 610, 500], [200, 90, 203, 101], [310.5, 200.2, 311, 200.9]]
LARGE = [[5, 7, 600, 480], [100, 100, 300, 290]]


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return build_detector("resnet50", 17).eval()


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return build_detector("small", 17).eval()


def images(count):
    rng = np.random.default_rng(0)
    size = (count, 3, HEIGHT, WIDTH)
    return list(torch.from_numpy(rng.random(size, dtype=np.float32)))


@pytest.fixture(scope="module")
def everything(resnet):
    with torch.inference_mode():
        return resnet.features(images(1))


@torch.inference_mode()
def both(detector, boxes, everything=None):
    """Heatmaps from all features, and from those around the boxes."""
    boxes = [torch.tensor(each).reshape(-1, 4).float() for each in boxes]
    batch, features = everything or detector.features(images(len(boxes)))
    around, parts = features_around(detector, images(len(boxes)), boxes)
    assert around.image_sizes == batch.image_sizes
    return detector.heatmaps(batch, features, boxes), detector.heatmaps(around, parts, boxes)


def assert_equal_but_for_rounding(parts, wholes):
    for part, whole in zip(parts, wholes, strict=True):
        most = float(whole.abs().max()) if len(whole) else 0
        torch.testing.assert_close(part, whole, rtol=0, atol=1e-5 * most)


@pytest.mark.parametrize("box", CROWD + LARGE, ids=str)
def test_heatmaps_are_those_of_the_whole_pyramid(resnet, everything, box):
    assert_equal_but_for_rounding(*both(resnet, [[box]], everything))


@pytest.mark.slow
@pytest.mark.parametrize("boxes", [[CROWD, LARGE], [LARGE, []]])
def test_every_image_has_its_own_boxes(resnet, boxes):
    assert_equal_but_for_rounding(*both(resnet, boxes))


@pytest.mark.parametrize("seed", range(3))
def test_boxes_of_every_size_at_every_place(resnet, everything, seed):
    rng = np.random.default_rng(seed)
    corners = rng.random((2, 2)) * (WIDTH, HEIGHT)
    sizes = np.exp(rng.uniform(0, np.log(600), (2, 2)))
    boxes = np.hstack([corners, np.minimum(corners + sizes, (WIDTH, HEIGHT))])
    assert_equal_but_for_rounding(*both(resnet, [boxes.tolist()], everything))


@torch.inference_mode()
def test_levels_that_no_box_is_pooled_from_are_left_out(resnet):
    _, features = features_around(resnet, images(1), [torch.tensor([[100.0, 100, 150, 150]])])
    assert [bool(level.any()) for level in features.values()] == [True, False, False, False]
    finest = features["0"][0].any(0)
    assert finest.sum() < finest.numel() / 20


@pytest.mark.parametrize("boxes", [[CROWD, LARGE], [[], []]])
def test_the_miniatures_heatmaps_are_the_same_to_the_bit(small, boxes):
    assert all(map(torch.equal, *both(small, boxes)))


def test_an_ensemble_sees_with_every_member(small):
    other = build_detector("small", 17).eval()
    assert all(map(torch.equal, *both(ModelEnsemble([small, other]), [CROWD])))


@pytest.mark.slow
def test_levels_of_one_stride_are_pooled_as_from_the_whole_pyramid():
    torch.manual_seed(0)
    detector = build_detector("mobilenet_v3_large", 17).eval()
    detector.rcnn.roi_heads.keypoint_predictor.kps_score_lowres.bias.data.zero_()
    assert_equal_but_for_rounding(*both(detector, [CROWD + LARGE]))
