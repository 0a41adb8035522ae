"""Labels corrupted by hand, against models that see what is there."""

import numpy as np
import pytest

from datastill.coco.format import Coco
from datastill.coco.metadata import build_metadata
from datastill.evaluation.label_errors import CLASS, MISSING, MOVED, NOTHING, SWAPPED, suspects

MOUSE = [{"id": 1, "name": "mouse", "keypoints": ["nose", "left_ear", "right_ear", "tail"]}]
CELLS = [{"id": 1, "name": "red"}, {"id": 2, "name": "white"}]
IMAGES = [{"id": n, "file_name": f"{n}.png", "width": 200, "height": 200} for n in range(1, 21)]


def mouse(image, shift=0.0):
    points = np.array([[50, 20], [40, 30], [60, 30], [50, 100]]) + shift
    return {
        "id": image, "image_id": image, "category_id": 1, "bbox": [40, 20, 20, 80], "iscrowd": 0,
        "area": 1600.0, "keypoints": np.column_stack([points, np.full(4, 2)]).ravel().tolist(),
        "num_keypoints": 4,
    }  # fmt: skip


def cell(image, category=1, x=20.0):
    return {"id": 10 * image + category, "image_id": image, "category_id": category,
            "bbox": [x, 20.0, 30.0, 30.0], "area": 900.0, "iscrowd": 0}  # fmt: skip


def models(records, count=3):
    """Models that find all `records`, a pixel apart from each other."""
    generator = np.random.default_rng(0)
    result = []
    for _ in range(count):
        moved = [{**record, "score": 0.9} for record in records]
        for record in moved:
            key = "keypoints" if "keypoints" in record else "bbox"
            record[key] = (
                np.array(record[key]) + generator.normal(0, 0.5, len(record[key]))
            ).tolist()
        result.append(moved)
    return result


def first(labels, categories, task, seen):
    content = Coco(IMAGES, labels, categories)
    return suspects(content, models(seen), build_metadata(content, task))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda label: None, MISSING),
        (lambda label: mouse(7, shift=6), MOVED),
        (lambda label: mouse(7, shift=90), NOTHING),
        (lambda label: label | {"keypoints": [label["keypoints"][i] for i in
                                              (0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11)]}, SWAPPED),
    ],
)  # fmt: skip
def test_the_corrupted_label_of_keypoints_comes_first(change, kind):
    right = [mouse(n) for n in range(1, 21)]
    labels = [changed for label in right
              if (changed := change(label) if label["image_id"] == 7 else label)]  # fmt: skip
    listed = first(labels, MOUSE, "keypoints", right)
    assert (listed[0].image["id"], listed[0].kind) == (7, kind) or (
        kind == NOTHING and {each.kind for each in listed[:2]} == {NOTHING, MISSING}
    )
    assert listed[0].suspicion > 0.3 > listed[2].suspicion


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda label: None, MISSING),
        (lambda label: cell(7, x=35), MOVED),
        (lambda label: cell(7, category=2), CLASS),
    ],
)
def test_the_corrupted_label_of_boxes_comes_first(change, kind):
    right = [cell(n) for n in range(1, 21)]
    labels = [changed for label in right
              if (changed := change(label) if label["image_id"] == 7 else label)]  # fmt: skip
    listed = first(labels, CELLS, "boxes", right)
    assert (listed[0].image["id"], listed[0].kind) == (7, kind)
    assert listed[0].suspicion > 0.3 > listed[1].suspicion


def test_one_model_against_two_raises_less_suspicion_than_all():
    labels = [cell(n) for n in range(1, 21)]
    content = Coco(IMAGES, labels[:-1], CELLS)
    metadata = build_metadata(content, "boxes")
    all_see, one_sees = models(labels), models(labels[:-1])
    one_sees[0] = all_see[0]
    suspicions = [suspects(content, each, metadata)[0].suspicion for each in (all_see, one_sees)]
    assert suspicions == pytest.approx([0.9, 0.3])


def test_silence_counts_less_where_the_models_miss_much():
    labels = [cell(n) for n in range(1, 21)]
    blind = first(labels, CELLS, "boxes", labels[:2])
    keen = first(labels, CELLS, "boxes", labels[:-1])
    assert keen[0].suspicion > 0.7 > 0.2 > blind[0].suspicion


def test_crowds_are_not_judged():
    crowd = cell(7) | {"iscrowd": 1}
    assert first([crowd], CELLS, "boxes", [cell(7)]) == []
