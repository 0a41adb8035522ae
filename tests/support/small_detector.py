"""A small detector with random but decided weights, and images that it finds something in."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from datastill.coco.format import PERSON_KEYPOINTS
from datastill.coco.skeleton import infer_flip_indices
from datastill.distill.shards import SCHEMA
from datastill.model.detector import build_detector


@pytest.fixture
def flip_indices():
    return infer_flip_indices(PERSON_KEYPOINTS)


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


@pytest.fixture
def listed():
    """The records of so many images of 40 x 30 pixels, with ids from 100 on."""

    def build(count):
        return [
            {"id": 100 + i, "file_name": f"{i}.png", "width": 40, "height": 30}
            for i in range(count)
        ]

    return build


@pytest.fixture
def table():
    """Candidates (image_id, score, box, probabilities(, agreeing)), keypoint i at (10+i, 20+i)."""

    def build(rows):
        lines = pd.DataFrame(
            [
                {
                    "image_id": image_id,
                    "category_id": 1,
                    "score": score,
                    "box": np.array(box, dtype=float),
                    "keypoints": np.array(
                        [[10.0 + i, 20.0 + i, p] for i, p in enumerate(points)]
                    ).ravel(),
                    "spread": np.zeros(len(points), np.float32),
                    "agreeing": np.array(*agreeing or [[18] * len(points)], dtype=np.int16),
                    "views": 1,
                    "box_spread": 0.0,
                }
                for image_id, score, box, points, *agreeing in rows
            ]
        )
        return pa.Table.from_pandas(lines, SCHEMA, preserve_index=False)

    return build


class InMemory:
    """Candidates as `select` reads them, without files."""

    def __init__(self, *tables):
        self._tables = tables

    def tables(self, *columns):
        return (table.select(columns) if columns else table for table in self._tables)


@pytest.fixture
def in_memory():
    return InMemory
