import numpy as np
import pytest

from datastill.coco.format import PERSON, Coco
from datastill.coco.skeleton import COCO_SIGMAS
from datastill.evaluation.coco_ap import prepared
from datastill.evaluation.image_pairs import image_pairs, matched_threshold, similarity

IMAGE = {"id": 1, "file_name": "1.png", "width": 200, "height": 200}
DOGS = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]


def box(bbox, category=1, **more):
    area = bbox[2] * bbox[3]
    return {"image_id": 1, "category_id": category, "bbox": bbox, "area": area, **more}


def people(generator, n, **more):
    points = generator.random((n, 17, 3)) * (100, 100, 0) + (0, 0, 2)
    points[0, :4] = 0
    return [
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 100, 100], "area": 900.0 + i,
         "iscrowd": 0, "id": i + 1, "keypoints": points[i].ravel().tolist(), "num_keypoints": 13,
         **more}
        for i in range(n)
    ]  # fmt: skip


def test_similarity_is_that_of_pycocotools():
    generator = np.random.default_rng(0)
    truths, found = people(generator, 3), people(generator, 2, score=0.5)
    for detection in found:
        detection["keypoints"] = (np.array(truths[0]["keypoints"]) + generator.random(51)).tolist()
    evaluation = prepared(Coco([IMAGE], truths, [PERSON]), found, "keypoints")
    evaluation._prepare()
    assert similarity(found, truths, COCO_SIGMAS) == pytest.approx(evaluation.computeOks(1, 1))
    boxes = [box([*generator.random(2) * 50, *generator.random(2) * 50], score=0.5, id=i, iscrowd=0)
             for i in range(1, 5)]  # fmt: skip
    evaluation = prepared(Coco([IMAGE], boxes[:3], DOGS[:1]), boxes[1:], "boxes")
    evaluation._prepare()
    assert similarity(boxes[1:], boxes[:3], None) == pytest.approx(evaluation.computeIoU(1, 1))


def test_a_better_detection_takes_the_most_similar_free_truth_of_its_category():
    truths = [box([0, 0, 10, 10]), box([1, 0, 10, 10]), box([0, 0, 10, 10], category=2)]
    found = [box([0, 0, 10, 10], score=s) for s in (0.3, 0.9, 0.6)]
    (pairs,) = image_pairs(Coco([IMAGE], truths, DOGS), found, None)
    assert [d["score"] for d in pairs.detections] == [0.9, 0.6, 0.3]
    assert pairs.partners().tolist() == [0, 1, -1]
    assert pairs.partners(minimum=0.9).tolist() == [0, -1, -1]


def test_a_detection_in_a_crowd_does_not_count_unless_it_is_of_an_object():
    truths = [box([50, 50, 10, 10]), box([0, 0, 100, 100], iscrowd=1)]
    found = [box([50, 50, 10, 10], score=0.9), box([10, 10, 10, 10], score=0.8),
             box([150, 150, 10, 10], score=0.7)]  # fmt: skip
    (pairs,) = image_pairs(Coco([IMAGE], truths, DOGS), found, None)
    assert [d["score"] for d in pairs.detections] == [0.9, 0.7]
    assert len(pairs.truths) == 1


def test_people_without_marked_keypoints_are_ignored_as_a_crowd_is():
    generator = np.random.default_rng(0)
    (unmarked,) = people(generator, 1, keypoints=[0] * 51, num_keypoints=0)
    found = people(generator, 2, score=0.9)
    (pairs,) = image_pairs(Coco([IMAGE], [unmarked], [PERSON]), found, COCO_SIGMAS)
    assert (pairs.truths, pairs.detections) == ([], [])


def test_the_matched_threshold_leaves_as_many_detections_as_objects():
    found = [{"score": s} for s in (0.2, 0.9, 0.5)]
    assert [matched_threshold(found, n) for n in (1, 2, 3, 4, 0)] == [0.9, 0.5, 0.2, 0, 0]
