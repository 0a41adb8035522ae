"""A detector with fresh weights, and images and people for it to see."""

import pytest
import torch
from published_files import published, published_file  # noqa: F401

from datastill.model.detector import Batch, build_detector

KEYPOINTS = 5


@pytest.fixture
def detector():
    """The smallest detector, of people with five keypoints, ready to predict."""
    torch.manual_seed(0)
    return build_detector("small", KEYPOINTS).eval()


@pytest.fixture
def images():
    """Random images (3, h, w), one per (height, width)."""

    def build(*sizes, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return [torch.rand(3, *size, generator=generator) for size in sizes]

    return build


@pytest.fixture
def people():
    """The target of an image with somebody in each of `boxes`, keypoints along its diagonal."""

    def build(*boxes):
        corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        places = torch.linspace(0.1, 0.9, KEYPOINTS)[:, None]
        points = corners[:, None, :2] + (corners[:, 2:] - corners[:, :2])[:, None] * places
        visible = torch.full((len(corners), KEYPOINTS, 1), 2.0)
        return {
            "boxes": corners,
            "labels": torch.ones(len(corners), dtype=torch.int64),
            "keypoints": torch.cat([points, visible], dim=-1),
            "ignored": torch.zeros(0, 4),
        }

    return build


@pytest.fixture
def batch(images, people):
    """Two images, somebody on the first and nobody on the second."""
    return Batch(images((96, 128), (90, 120)), [people([20, 10, 70, 90]), people()])
