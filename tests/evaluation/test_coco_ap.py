from copy import deepcopy
from dataclasses import asdict

import numpy as np
import pytest

from datastill.coco.format import Coco, read_coco
from datastill.errors import DataError
from datastill.evaluation.coco_ap import evaluate


def found(record, score):
    names = ("image_id", "category_id", "bbox", "keypoints")
    return {**{name: record[name] for name in names}, "score": score}


def assert_same(ours, theirs):
    for name, value in theirs.items():
        assert asdict(ours)[name] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("task", ["keypoints", "boxes"])
@pytest.mark.parametrize("seed", range(6))
def test_every_metric_is_that_of_pycocotools(scene, pycocotools, task, seed):
    truth, detections = scene(seed)
    assert_same(evaluate(truth, detections, task), pycocotools(truth, detections, task))


@pytest.mark.parametrize("boxed", [True, False])
def test_the_area_of_a_person_is_the_box_or_without_one_the_extent_of_keypoints(
    scene, pycocotools, boxed
):
    truth, detections = scene(3)
    given = [{k: v for k, v in d.items() if boxed or k != "bbox"} for d in detections]
    assert_same(evaluate(truth, given, "keypoints"), pycocotools(truth, given, "keypoints"))


@pytest.mark.parametrize("task", ["keypoints", "boxes"])
def test_two_of_two_with_a_false_one_between_is_51_whole_and_50_two_thirds(coco, person, task):
    one, two = person(number=1), person(x=300.0, number=2)
    truth = coco(1, [one, two])
    stray = found(person(x=500.0), 0.8)
    ap = evaluate(truth, [found(two, 0.7), stray, found(one, 0.9)], task)
    assert ap.ap == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)
    assert ap.ap50 == ap.ap75 == pytest.approx(ap.ap)
    assert (ap.ap_small, ap.ap_large) == (None, None)


@pytest.mark.parametrize(("task", "objects"), [("keypoints", 40), ("boxes", 300)])
def test_all_of_many_objects_in_one_image_can_be_detected(coco, person, task, objects):
    people = [person(x=120.0 * number, number=number + 1) for number in range(objects)]
    detections = [found(each, 1 - each["id"] / 1000) for each in people]
    assert evaluate(coco(1, people), detections, task).ap == pytest.approx(100)
    missed = evaluate(coco(1, people), detections[: objects // 2], task).ap
    assert missed == pytest.approx(50, abs=1)


def test_no_detections_score_zero(coco, person):
    ap = evaluate(coco(2, [person()]), [], "keypoints")
    assert (ap.ap, ap.ap50, ap.ap75, ap.ap_medium, ap.ap_large) == (0, 0, 0, 0, None)


def test_truth_without_anything_to_find_is_an_error(coco, person):
    with pytest.raises(DataError, match="no annotated object"):
        evaluate(coco(2, []), [found(person(), 1.0)], "boxes")


def test_inputs_stay_as_they_were_and_nothing_is_printed(scene, capfd):
    truth, detections = scene(0)
    before = deepcopy((truth, detections))
    evaluate(truth, detections, "keypoints")
    evaluate(truth, detections, "boxes")
    assert (truth, detections) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("number", [0, 1])
def test_an_annotation_with_id_zero_or_a_repeated_id_counts_as_any_other(coco, person, number):
    truth = coco(2, [person(number=number), person(2, number=number)])
    results = [found(person(), 0.9), found(person(2), 0.9)]
    assert evaluate(truth, results, "boxes").ap == pytest.approx(100)


def test_missing_num_keypoints_are_counted_from_visibility(coco, person):
    seen, unseen = person(), person(x=300.0, keypoints=[0] * 51)
    for record in (seen, unseen):
        del record["num_keypoints"]
    truth = coco(1, [seen, unseen])
    assert evaluate(truth, [found(seen, 0.9)], "keypoints").ap == pytest.approx(100)
    assert "num_keypoints" not in seen


def test_a_person_with_hidden_keypoints_only_has_to_be_found(coco, person):
    hidden = person(x=300.0)
    hidden["keypoints"][2::3] = [1] * 17
    del hidden["num_keypoints"]
    truth = coco(1, [person(), hidden])
    assert evaluate(truth, [found(person(), 0.9)], "keypoints").ap == pytest.approx(100 * 51 / 101)


def test_truth_without_categories_is_an_error(coco):
    with pytest.raises(DataError, match="categories"):
        evaluate(Coco(coco(1, []).images, [], []), [], "boxes")


def test_truth_without_keypoints_need_not_be_found_for_keypoints_but_for_boxes(coco, person):
    bare = person(x=300.0)
    del bare["keypoints"], bare["num_keypoints"]
    truth = coco(1, [person(), bare])
    assert evaluate(truth, [found(person(), 0.9)], "keypoints").ap == pytest.approx(100)
    assert evaluate(truth, [found(person(), 0.9)], "boxes").ap == pytest.approx(100 * 51 / 101)


def test_only_the_20_best_people_of_an_image_count_and_the_100_best_boxes(coco, person):
    truth = coco(1, [person()])
    strays = [found(person(x=400.0 + i), 0.9) for i in range(99)]
    last = found(person(), 0.1)
    assert evaluate(truth, [*strays[:19], last], "keypoints").ap == pytest.approx(5)
    assert evaluate(truth, [*strays[:20], last], "keypoints").ap == 0
    assert evaluate(truth, [*strays, last], "boxes").ap == pytest.approx(1)
    assert evaluate(truth, [found(person(x=380.0), 0.9), *strays, last], "boxes").ap == 0


def test_sigmas_decide_how_far_a_keypoint_may_be_off(coco, person):
    shifted = person()
    shifted["keypoints"] = [x + (4 if i % 3 < 2 else 0) for i, x in enumerate(shifted["keypoints"])]
    strict = evaluate(coco(1, [person()]), [found(shifted, 1.0)], "keypoints", sigmas=[0.01] * 17)
    loose = evaluate(coco(1, [person()]), [found(shifted, 1.0)], "keypoints", sigmas=[1.0] * 17)
    assert strict.ap == 0
    assert loose.ap == pytest.approx(100)


def test_other_skeletons_work_with_their_own_sigmas(coco, person):
    short = person(keypoints=person()["keypoints"][:15])
    truth, results = coco(1, [short]), [found(short, 1.0)]
    assert evaluate(truth, results, "keypoints", sigmas=[0.05] * 5).ap == pytest.approx(100)
    with pytest.raises(DataError, match="need their own sigmas"):
        evaluate(truth, results, "keypoints")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": 5}, r"detections\[1\]: image_id 5 is not in the truth"),
        ({"category_id": 3}, r"detections\[1\]: category_id 3 is not in"),
        ({"score": float("nan")}, r"detections\[1\].score: expected 1 finite"),
        ({"score": None}, r"detections\[1\].score: expected 1 finite"),
        ({"bbox": [1, 2, 3]}, r"detections\[1\].bbox: expected 4 finite"),
        ({"bbox": []}, r"detections\[1\]: no bbox, although others have one"),
        ({"keypoints": [1.0] * 50}, r"detections\[1\].keypoints: expected 51 finite"),
        ({"keypoints": None}, r"detections\[1\].keypoints: expected 51 finite"),
    ],
)
def test_a_malformed_detection_is_named(coco, person, changes, message):
    results = [found(person(), 0.9), {**found(person(), 0.8), **changes}]
    with pytest.raises(DataError, match=message):
        evaluate(coco(1, [person()]), results, "keypoints")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": 5}, r"truth.annotations\[1\]: image_id 5"),
        ({"category_id": 4}, r"truth.annotations\[1\]: category_id 4"),
        ({"area": None}, r"truth.annotations\[1\].area"),
        ({"bbox": [1, 2, 3, float("inf")]}, r"truth.annotations\[1\].bbox"),
    ],
)
def test_a_malformed_truth_is_named(coco, person, changes, message):
    with pytest.raises(DataError, match=message):
        evaluate(coco(1, [person(), person(number=2, **changes)]), [], "boxes")


def test_an_unknown_task_is_named(coco, person):
    with pytest.raises(DataError, match="'masks'"):
        evaluate(coco(1, [person()]), [], "masks")


def test_real_coco_annotations_score_as_in_pycocotools(val2017, pycocotools, detect):
    whole = read_coco(val2017)
    kept = {image["id"] for image in whole.images[:400]}
    truth = Coco(
        whole.images[:400],
        [a for a in whole.annotations if a["image_id"] in kept],
        whole.categories,
    )
    rng = np.random.default_rng(0)
    detections = [
        {**detect(rng, a, rng.choice([0, 0.02, 0.05, 0.3])), "score": float(rng.random())}
        for a in truth.annotations
        if rng.random() < 0.8
    ]
    for task in ("keypoints", "boxes"):
        ours = evaluate(truth, detections, task)
        assert_same(ours, pycocotools(truth, detections, task))
        assert 5 < ours.ap < 95
