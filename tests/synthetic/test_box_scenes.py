from collections import Counter

import cv2
import numpy as np
import pytest

from datastill.synthetic import box_scenes
from datastill.synthetic.box_scenes import CATEGORIES, draw_objects
from datastill.synthetic.drawing.objects import OBJECT_KINDS
from datastill.synthetic.drawing.raster import paint, stamp
from datastill.synthetic.drawing.visibility import (
    Layer,
    overlay,
    visible_area,
    visible_enough,
)
from datastill.synthetic.keypoint_scenes import draw_people, quota

SIZE = (320, 240)
COUNT = 200


@pytest.fixture(scope="module")
def drawings():
    return [draw_objects("a set", i, 7, SIZE) for i in range(COUNT)]


@pytest.fixture(scope="module")
def objects(drawings):
    return [a for drawing in drawings for a in drawing.annotations]


def same(first, second):
    return np.array_equal(first.image, second.image) and first.annotations == second.annotations


def test_a_picture_follows_from_its_name_index_and_seed_alone():
    forward = [draw_objects("a", i, 0, (128, 96)) for i in range(5)]
    backward = [draw_objects("a", i, 0, (128, 96)) for i in reversed(range(5))]
    assert all(map(same, forward, reversed(backward)))
    for other in (("b", 0, 0), ("a", 1, 0), ("a", 0, 1)):
        assert not same(forward[0], draw_objects(*other, (128, 96)))


def test_no_scene_has_more_people_than_its_quota_and_few_have_fewer(drawings):
    asked = [quota("a set", index, 7, box_scenes._PEOPLE) for index in range(COUNT)]
    found = [sum(a["category_id"] == 1 for a in drawing.annotations) for drawing in drawings]
    assert all(few <= many for few, many in zip(found, asked, strict=True))
    assert sum(found) > 0.8 * sum(asked)


def test_ids_are_cocos_and_have_gaps(objects):
    names = {each["id"]: each["name"] for each in CATEGORIES}
    assert names == {1: "person", 62: "chair", 44: "bottle", 37: "sports ball", 38: "kite"}
    assert {a["category_id"] for a in objects} == set(names)


def test_things_are_as_rare_beside_people_as_they_should_be(objects):
    counts = Counter(a["category_id"] for a in objects)
    for kind in OBJECT_KINDS:
        expected = kind.per_person * counts[1]
        # Poisson, less what is hidden or out of the picture
        assert (
            expected / 2 - 3 * expected**0.5 < counts[kind.category] < expected + 4 * expected**0.5
        )
    order = [counts[number] for number in (1, 62, 44, 37, 38)]
    assert order == sorted(order, reverse=True)


def test_boxes_stay_in_the_image_and_hold_an_area_that_can_be_seen(objects):
    for a in objects:
        left, top, width, height = a["bbox"]
        assert min(left, top) >= 0
        assert left + width <= SIZE[0]
        assert top + height <= SIZE[1]
        assert 64 <= a["area"] <= width * height
        assert "keypoints" not in a


def test_small_medium_and_large_objects_are_all_there(objects):
    areas = np.array([a["area"] for a in objects])
    shares = [(areas < 32**2).mean(), ((areas >= 32**2) & (areas < 96**2)).mean()]
    assert all(0.15 < share < 0.7 for share in [*shares, 1 - sum(shares) + 0.1])


def test_the_box_and_area_are_those_of_the_pixels_that_something_painted_last():
    rng = np.random.default_rng(0)
    for kind in OBJECT_KINDS:
        shapes = list(kind.draw(rng, np.array([60.0, 110.0]), 80.0))
        stencil, image = np.zeros((120, 120), np.uint8), np.zeros((120, 120, 3), np.uint8)
        stamp(stencil, shapes)
        paint(image, shapes)
        seen, near = image.any(axis=2), cv2.dilate(stencil, np.ones((3, 3), np.uint8)) > 0
        assert (seen & ~near).sum() <= 10, "edges are smooth over one pixel, corners over two"
        assert (stencil > 0)[~seen].sum() <= 4


def test_what_stands_before_an_object_hides_it():
    bars = [Layer([], bar) for bar in _bars(2)]
    alone, both = (overlay(layers, [], (40, 30)) for layers in (bars[:1], bars))
    assert visible_area(alone, 0) == 200
    assert visible_area(both, 0) == 100
    minima = (box_scenes._MIN_AREA, box_scenes._MIN_VISIBLE)
    assert len(visible_enough(bars, [], (40, 30), minima)) == 2
    buried = [*bars, Layer([], _bars(1)[0])]
    kept = visible_enough(buried, [], (40, 30), minima)
    assert [id(layer) for layer in kept] == [id(layer) for layer in buried[1:]]


def _bars(count):
    bars = []
    for number in range(count):
        bar = np.zeros((30, 40), np.uint8)
        bar[5 + 5 * number : 15 + 5 * number, 5:25] = 1
        bars.append(bar)
    return bars


def test_people_with_keypoints_are_drawn_as_ever():
    """The other styles share code with this one; their pictures must not move by a pixel."""
    drawn = [
        draw_people("a set", i, 7, style, SIZE)
        for style in ("everyday", "sport")
        for i in range(12)
    ]
    boxes = np.array([a["bbox"] + [a["area"]] for d in drawn for a in d.annotations])
    points = np.array([a["keypoints"] for d in drawn for a in d.annotations])
    assert boxes.sum(0).tolist() == [3418.0, 958.0, 2703.0, 5792.0, 238872.0]
    assert points.sum() == pytest.approx(126469.24, abs=0.01)
