"""Precision over recall, against AP and by hand."""

import numpy as np
import pytest

from datastill.coco.format import Coco
from datastill.errors import DataError
from datastill.evaluation.coco_ap import evaluate
from datastill.evaluation.detection_curves import precision_by_recall

BOX = [10.0, 10.0, 20.0, 20.0]
TRUTH = Coco(
    [{"id": i, "width": 64, "height": 64, "file_name": f"{i}.jpg"} for i in (1, 2)],
    [
        {"id": i, "image_id": i, "category_id": 1, "bbox": BOX, "area": 400, "iscrowd": 0}
        for i in (1, 2)
    ],
    [{"id": 1, "name": "cell"}, {"id": 2, "name": "without truth"}],
)


def detection(image, score, box=BOX):
    return {"image_id": image, "category_id": 1, "bbox": box, "score": score}


def test_a_false_detection_before_the_last_true_one_halves_the_curve():
    false = detection(1, 0.5, [40.0, 40.0, 10.0, 10.0])
    points = precision_by_recall(TRUTH, [detection(1, 0.9), false, detection(2, 0.4)], "boxes")
    assert [point["recall"] for point in points] == [i / 100 for i in range(101)]
    assert points[50] == {"recall": 0.5, "precision50": 1.0, "precision75": 1.0}
    assert points[51]["precision50"] == points[100]["precision50"] == pytest.approx(2 / 3, abs=1e-4)


def test_each_curve_has_its_own_similarity_and_its_mean_is_ap():
    loose = [10.0, 10.0, 20.0, 14.0]  # IoU 0.7
    found = [detection(1, 0.9, loose), detection(2, 0.4)]
    points, ap = precision_by_recall(TRUTH, found, "boxes"), evaluate(TRUTH, found, "boxes")
    assert ap.ap50 > ap.ap75
    for name, expected in (("precision50", ap.ap50), ("precision75", ap.ap75)):
        assert 100 * np.mean([point[name] for point in points]) == pytest.approx(expected, abs=0.01)


def test_without_detections_nothing_is_precise():
    assert {p["precision50"] for p in precision_by_recall(TRUTH, [], "boxes")} == {0.0}


def test_a_malformed_detection_is_one_error():
    with pytest.raises(DataError, match=r"detections\[0\]: image_id 9"):
        precision_by_recall(TRUTH, [detection(9, 0.5)], "boxes")
