"""Ronchi & Perona's kinds on two people made by hand: three keypoints each, 100 pixels apart."""

import numpy as np
import pytest

from datastill.coco.format import Coco
from datastill.evaluation.image_pairs import image_pairs
from datastill.evaluation.keypoint_errors import KINDS, keypoint_errors

SIGMAS = (0.1, 0.1, 0.1)  # of an area of 10,000 pixels: similarity 0.5 at 23.5, 0.85 at 11.4
IMAGE = {"id": 1, "file_name": "1.png", "width": 1000, "height": 1000}
CATEGORY = [{"id": 1, "name": "one", "keypoints": ["a", "b", "c"]}]


def person(x, points=((0, 0, 2), (100, 0, 2), (200, 0, 2)), **more):
    keypoints = np.add(points, (x, 0, 0)).ravel().tolist()
    return {"id": x + 1, "image_id": 1, "category_id": 1, "bbox": [x, 0, 200, 10], "iscrowd": 0,
            "area": 10000.0, "keypoints": keypoints, "num_keypoints": 3, **more}  # fmt: skip


def kinds(truths, found):
    pairs = image_pairs(Coco([IMAGE], truths, CATEGORY), found, SIGMAS)
    counts = keypoint_errors(pairs, SIGMAS)
    assert counts.sum() == sum(sum(v > 0 for v in t["keypoints"][2::3]) for t in truths)
    return [[KINDS[k] for k in np.flatnonzero(counts[:, point])] for point in range(3)]


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ((0, 5), "good"),
        ((0, 15), "jitter"),
        ((100, 5), "inversion"),  # at the same person's second keypoint
        ((500, 10), "swap"),  # at the other person's first
        ((600, 10), "swap"),  # at the other person's second
        ((0, 60), "miss"),
        ((300, 0), "miss"),
    ],
)
def test_a_keypoint_is_of_the_kind_that_its_place_says(where, kind):
    other = person(500)
    found = person(0, ((*where, 2), (100, 0, 2), (200, 0, 2)), score=0.9)
    first, second, third = kinds([person(0), other], [found, {**other, "score": 0.8}])
    assert first == sorted({kind, "good"}, key=KINDS.index)
    assert second == third == ["good"]


def test_keypoints_of_an_object_without_a_detection_are_undetected_and_unmarked_ones_nothing():
    unmarked = person(0, ((0, 0, 0), (100, 0, 2), (200, 0, 1)))
    assert kinds([unmarked], []) == [[], ["undetected"], ["undetected"]]


def test_an_unmarked_keypoint_of_the_truth_attracts_none():
    truth = person(0, ((0, 0, 2), (100, 0, 0), (200, 0, 2)))
    found = person(0, ((100, 0, 2), (100, 0, 2), (200, 0, 2)), score=0.9)
    assert kinds([truth], [found]) == [["miss"], [], ["good"]]
