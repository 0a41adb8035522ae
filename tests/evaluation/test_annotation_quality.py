from copy import deepcopy
from dataclasses import asdict

import numpy as np
import pytest

from datastill.coco.format import PERSON, Coco
from datastill.errors import DataError
from datastill.evaluation.annotation_quality import AnnotationQuality, measure, precision_recall

SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000


def moved(record, pixels, **changes):
    points = np.array(record["keypoints"], dtype=float).reshape(-1, 3)
    points[:, 0] += pixels
    return {**record, "keypoints": points.ravel().tolist(), **changes}


def oks(pixels, area=5000.0):
    """COCO's formula for a person whose 17 visible keypoints are all off by `pixels`."""
    return np.exp(-(pixels**2) / (2 * area * (2 * SIGMAS) ** 2)).mean()


def test_exact_annotations_are_all_right(coco, person):
    truth = coco(3, [person(), person(2, number=2)])
    assert measure(truth, truth) == AnnotationQuality(1, 1, 1, 1, pytest.approx(1), 2, 2)


def test_counts_and_similarity_are_those_worked_out_by_hand(coco, person):
    near, far = 3.0, 9.0
    assert oks(near) > 0.75 > oks(far) > 0.5
    truth = coco(2, [person(number=1), person(x=250.0, number=2), person(2, number=3)])
    generated = coco(
        2,
        [
            moved(person(), near, score=0.9),
            moved(person(x=250.0), far, score=0.8),
            moved(person(x=450.0), 0, score=0.7),
            moved(person(), 0, score=0.6),
        ],
    )
    quality = measure(generated, truth)
    assert (quality.precision50, quality.recall50) == (2 / 4, 2 / 3)
    assert (quality.precision75, quality.recall75) == (1 / 4, 1 / 3)
    assert quality.mean_similarity == pytest.approx((oks(near) + oks(far)) / 2)
    assert (quality.generated, quality.truth) == (4, 3)


def test_the_similarity_is_that_of_the_truth_matched_when_several_are_near(coco, person):
    truth = coco(1, [person(x=14.0, number=8), person(number=5)])
    generated = coco(1, [moved(person(), 1.0, score=0.9), moved(person(x=14.0), 2.0, score=0.8)])
    assert measure(generated, truth).mean_similarity == pytest.approx((oks(1.0) + oks(2.0)) / 2)


def test_the_better_score_takes_the_truth_even_when_it_fits_worse(coco, person):
    generated = coco(1, [moved(person(), 0, score=0.5), moved(person(), 3.0, score=0.9)])
    quality = measure(generated, coco(1, [person()]))
    assert quality.mean_similarity == pytest.approx(oks(3.0))
    assert quality.precision50 == 0.5


def test_whoever_finds_truth_without_keypoints_or_a_crowd_is_neither_right_nor_wrong(coco, person):
    bare = person(x=250.0, number=2, keypoints=[0] * 51, num_keypoints=0)
    crowd = person(2, number=3, iscrowd=1)
    generated = coco(2, [person(), person(x=250.0), person(2), person(2)])
    quality = measure(generated, coco(2, [person(), bare, crowd]))
    assert quality == AnnotationQuality(1, 1, 1, 1, pytest.approx(1), 1, 1)


def test_a_crowd_excuses_only_the_annotations_that_match_it(coco, person):
    crowd = person(2, number=3, iscrowd=1)
    generated = coco(2, [person(), moved(person(2), 9.0), moved(person(2), 3.0)])
    assert oks(3.0) > 0.75 > oks(9.0) > 0.5
    quality = measure(generated, coco(2, [person(), crowd]))
    assert quality == AnnotationQuality(1, 1, 1 / 2, 1, pytest.approx(1), 1, 1)


@pytest.mark.parametrize(
    ("similarity", "right50", "right75"),
    [(0.76, 1, 1), (0.74, 1, 0), (0.51, 1, 0), (0.49, 0, 0)],
)
def test_an_annotation_is_right_from_0_5_and_0_75_on(coco, person, similarity, right50, right75):
    steps = np.linspace(0, 30, 3001)
    pixels = steps[np.argmin([abs(oks(step) - similarity) for step in steps])]
    quality = measure(coco(1, [moved(person(), pixels)]), coco(1, [person()]))
    assert (quality.precision50, quality.recall50) == (right50, right50)
    assert (quality.precision75, quality.recall75) == (right75, right75)


def test_more_than_20_annotations_of_an_image_are_all_judged(coco, person):
    people = [person(x=200.0 * i, number=i + 1) for i in range(30)]
    assert measure(coco(1, people), coco(1, people)).generated == 30


def test_categories_do_not_match_each_other(coco, person):
    categories = [PERSON, {**PERSON, "id": 2, "name": "other"}]
    truth = Coco(coco(1, []).images, [person(), person(x=300.0, category_id=2)], categories)
    swapped = [person(category_id=2), person(x=300.0)]
    assert measure(Coco(truth.images, swapped, categories), truth).precision50 == 0
    assert measure(truth, truth).precision50 == 1


def test_ratios_of_nothing_are_none(coco, person):
    some, none = coco(2, [person()]), coco(2, [])
    assert measure(none, some) == AnnotationQuality(None, 0, None, 0, None, 0, 1)
    assert measure(some, none) == AnnotationQuality(0, None, 0, None, None, 1, 0)


def test_different_images_are_an_error(coco, person):
    with pytest.raises(DataError, match=r"\[2, 3\]"):
        measure(coco(3, [person()]), coco(1, [person()]))


def test_inputs_stay_as_they_were(coco, person):
    generated, truth = coco(2, [person(score=0.3)]), coco(2, [person()])
    before = deepcopy((asdict(generated), asdict(truth)))
    measure(generated, truth)
    assert (asdict(generated), asdict(truth)) == before


def test_a_curve_is_what_judging_at_every_threshold_gives(coco, person):
    truth = coco(3, [person(number=1), person(x=250.0, number=2), person(2, number=3)])
    people = [
        moved(person(), 2.0, score=0.9),
        moved(person(x=450.0), 0, score=0.7),
        moved(person(x=250.0), 1.0, score=0.6),
        moved(person(2), 40.0, score=0.5),
        moved(person(2), 0.0, score=0.4),
    ]
    thresholds = [0.95, 0.9, 0.7, 0.65, 0.5, 0.4]
    points = precision_recall(coco(3, people), truth, thresholds)
    for threshold, point in zip(thresholds, points, strict=True):
        kept = coco(3, [p for p in people if p["score"] >= threshold])
        quality = measure(kept, truth)
        assert point == (quality.precision50, quality.recall50)


def boxed(x, category, number, image_id=1, **changes):
    box = {"bbox": [x, 0.0, 100.0, 100.0], "area": 10000.0, "iscrowd": 0}
    return {"id": number, "image_id": image_id, "category_id": category, **box, **changes}


def test_boxes_are_judged_by_iou_within_their_category(coco):
    categories = [{"id": 3, "name": "car"}, {"id": 90, "name": "brush"}]
    images = coco(2, []).images
    truth = [
        boxed(0.0, 3, 1),
        boxed(300.0, 90, 2),
        boxed(0.0, 3, 3, 2),
        boxed(300.0, 3, 4, 2, iscrowd=1),
    ]
    generated = [
        boxed(10.0, 3, 1, score=0.9),  # IoU 90 / 110: right at both
        boxed(325.0, 90, 2, score=0.8),  # IoU 75 / 125: right at 0.5
        boxed(0.0, 90, 3, 2, score=0.7),  # of another category
        boxed(300.0, 3, 4, 2, score=0.6),  # in a crowd: neither
    ]
    both = Coco(images, generated, categories), Coco(images, truth, categories)
    near, far = 90 / 110, 75 / 125
    assert measure(*both, "boxes") == AnnotationQuality(
        2 / 3, 2 / 3, 1 / 3, 1 / 3, pytest.approx((near + far) / 2), 3, 3
    )
    assert precision_recall(*both, [0.85, 0.75, 0.65], "boxes") == [
        (1, 1 / 3),
        (1, 2 / 3),
        (2 / 3, 2 / 3),
    ]
