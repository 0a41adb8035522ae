"""TIDE's kinds on cases made by hand: one image each, boxes of 10 x 10."""

import pytest

from datastill.coco.format import Coco
from datastill.evaluation.box_errors import KINDS, box_errors
from datastill.evaluation.coco_ap import evaluate
from datastill.evaluation.image_pairs import image_pairs

CATEGORIES = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]


def at(x, category=1, score=0.9, image=1):
    return {"image_id": image, "category_id": category, "bbox": [x, 0, 10, 10], "area": 100.0,
            "iscrowd": 0, "score": score}  # fmt: skip


def errors(truths, found):
    numbers = sorted({record["image_id"] for record in [*truths, *found]})
    images = [{"id": n, "file_name": f"{n}.png", "width": 200, "height": 20} for n in numbers]
    numbered = [{**truth, "id": n} for n, truth in enumerate(truths, start=1)]
    content = Coco(images, numbered, CATEGORIES)
    return content, box_errors(image_pairs(content, found, None))


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (at(0, category=2), "class"),
        (at(6), "location"),  # IoU 0.25
        (at(6, category=2), "class and location"),
        (at(0, score=0.5), "duplicate"),
        (at(100), "background"),
        (at(9.5), "background"),  # IoU 0.03
    ],
)
def test_a_false_detection_is_of_the_kind_that_tide_names(found, kind):
    right = [at(0)] if kind == "duplicate" else []
    _, counts = errors([at(0)], [*right, found])
    expected = {kind: 1} | ({} if kind in ("class", "location", "duplicate") else {"missed": 1})
    assert {name: number for name, (number, _) in counts.items() if number} == expected


def test_a_right_detection_is_no_error_and_an_object_without_any_is_missed():
    _, counts = errors([at(0), at(50)], [at(1)])
    assert {kind: counts[kind][0] for kind in KINDS} == dict.fromkeys(KINDS, 0) | {"missed": 1}


def test_mending_one_kind_gains_the_ap_that_it_costs():
    truths = [at(0, image=n) for n in range(1, 5)]
    found = [at(0, image=1), at(0, image=2), at(6, image=3, score=0.8), at(100, image=3)]
    content, costs = errors(truths, found)
    before = evaluate(content, found, "boxes").ap50
    mended = evaluate(content, [*found[:2], at(0, image=3, score=0.8), found[3]], "boxes").ap50
    without = evaluate(content, found[:3], "boxes").ap50
    fewer = evaluate(Coco(content.images, content.annotations[:3], CATEGORIES), found, "boxes").ap50
    assert costs["location"] == (1, pytest.approx(mended - before))
    assert costs["background"] == (1, pytest.approx(without - before))
    assert costs["missed"] == (1, pytest.approx(fewer - before))
    assert costs["class"] == (0, pytest.approx(0))


def test_a_correction_finds_no_object_twice():
    truths = [at(0), at(0, image=2)]
    found = [at(6, score=0.9), at(7, score=0.8)]
    content, costs = errors(truths, found)
    mended = evaluate(content, [at(0)], "boxes").ap50
    assert costs["location"] == (2, pytest.approx(mended))
