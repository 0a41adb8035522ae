import numpy as np
import pytest

from datastill.coco.format import PERSON, Coco
from datastill.coco.normalize import learned_categories, normalize
from datastill.errors import DataError

CELL = {"id": 1, "name": "cell"}


def cells(boxes):
    """One image of 40 x 30 pixels with these boxes, as they are in the file."""
    images = [{"id": 1, "file_name": "1.png", "width": 40, "height": 30}]
    annotations = [
        {"id": number, "image_id": 1, "category_id": 1, "bbox": list(map(float, box))}
        for number, box in enumerate(boxes)
    ]
    return Coco(images, annotations, [CELL])


def clean_boxes(count, seed=0):
    """Boxes x, y, width, height inside 40 x 30 pixels."""
    rng = np.random.default_rng(seed)
    x1, x2 = np.sort(rng.uniform(0, 40, (2, count)), axis=0)
    y1, y2 = np.sort(rng.uniform(0, 30, (2, count)), axis=0)
    return np.stack([x1, y1, x2 - x1 + 0.1, y2 - y1 + 0.1], axis=1)


def as_corners(boxes):
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])


def test_boxes_as_corners_are_called_by_their_name():
    with pytest.raises(
        DataError, match=r"^boxes: expected x, y, width, height, found x1, y1, x2, y2"
    ):
        normalize(cells(as_corners(clean_boxes(8))), CELL)


def test_boxes_normalised_to_1_are_called_by_their_name():
    fractions = clean_boxes(8) / [40.1, 30.1, 40.1, 30.1]
    for boxes in (fractions, fractions[:1], [[0, 0, 1, 1]]):
        with pytest.raises(
            DataError, match=r"^boxes: .* found no number above 1: they are normalis"
        ):
            normalize(cells(boxes), CELL)


def test_keypoints_normalised_to_1_are_called_by_their_name(coco, person):
    content = coco(
        [1], [person(bbox=None, keypoints=[0.4, 0.7, 2, 0.9, 0.1, 1, 5, 5, 0, *[0] * 42])]
    )
    with pytest.raises(DataError, match=r"^keypoints: .* normalised to 1"):
        normalize(content, *learned_categories(content, "keypoints"))


@pytest.mark.parametrize("seed", range(20))
def test_clean_boxes_cause_no_alarm(seed):
    for count in (1, 3, 50):
        boxes = clean_boxes(count, seed)
        assert len(normalize(cells(boxes), CELL)[0].annotations) == count


CLOSE_UPS = [[4, 3, 30, 25]] * 9


@pytest.mark.parametrize(
    "boxes",
    [
        [*CLOSE_UPS, *CLOSE_UPS, *[[14, 3, 30, 25]] * 4],  # 4 careless boxes of 22
        [[14, 3, 30, 25]] * 2,  # too few to tell
        [[32, 3, 16, 25]] * 9,  # outside, but not as corners either
        [[4, 3, 37, 28]] * 9,  # by a pixel
        [[0, 0, 40, 30]] * 9,  # the whole image, in either way
        [[0, 0, 1, 1], [3, 3, 1, 1]],  # single pixels
    ],
)
def test_boxes_that_may_be_meant_are_taken_as_they_are(boxes):
    assert len(normalize(cells(boxes), CELL)[0].annotations) == len(boxes)


def test_no_keypoint_at_all_is_no_alarm(coco, person):
    content = coco([1], [person(keypoints=[0] * 51)])
    assert len(normalize(content, PERSON)[0].annotations) == 1
