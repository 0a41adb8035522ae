"""A small detector with random but decided weights, and images that it finds something in."""

import pytest
import torch

from datastill.data.coco import PERSON_KEYPOINTS, mirror_swap
from datastill.model.detector import build_detector


@pytest.fixture
def swap():
    return mirror_swap(PERSON_KEYPOINTS)


@pytest.fixture
def detector():
    torch.manual_seed(3)
    detector = build_detector("small", 17).eval()
    detector.rcnn.roi_heads.score_thresh = 0.0
    detector.rcnn.roi_heads.detections_per_img = 4
    # Untrained heatmaps are nearly flat; steeper ones have a peak worth comparing.
    detector.rcnn.roi_heads.keypoint_predictor.weight.data *= 1200
    return detector


@pytest.fixture
def noise():
    """An image of `height` x `width` random pixels, smooth enough to survive a resize."""

    def build(height, width, seed=0):
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand((1, 3, 6, 6), generator=generator) * 255
        size = (height, width)
        return torch.nn.functional.interpolate(coarse, size, mode="bilinear")[0].to(torch.uint8)

    return build
