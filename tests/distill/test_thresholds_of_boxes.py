import numpy as np
import pyarrow as pa
import pytest

from datastill.coco.format import Coco
from datastill.distill.annotations import generate, with_verdicts
from datastill.distill.shards import SCHEMA, to_list_column
from datastill.distill.thresholds import Density, Rules, Threshold, box_density, select
from datastill.errors import DataError

RULES = Rules(keypoints=None)


@pytest.fixture
def boxes():
    """Candidates (image_id, category_id, score), without keypoints, each with a box of its own."""

    def build(*found):
        n = len(found)
        columns = {
            "image_id": [each[0] for each in found],
            "category_id": [each[1] for each in found],
            "score": [each[2] for each in found],
            "box": [[i, 0.0, i + 10.0, 20.0] for i in range(n)],
            **{
                name: to_list_column(np.zeros((n, 0)))
                for name in ("keypoints", "spread", "agreeing")
            },
            "views": [3] * n,
            "box_spread": [0.1] * n,
        }
        arrays = [pa.array(columns[field.name]).cast(field.type) for field in SCHEMA]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)

    return build


def slowly(found, images, per_image):
    """The accepted candidates by sorting every category in plain Python."""
    accepted = set()
    for category, mean in per_image.items():
        mine = sorted((s for _, c, s in found if c == category), reverse=True)
        wanted = round(mean * images)
        if wanted and mine:
            least = mine[min(wanted, len(mine)) - 1]
            accepted |= {(i, c, s) for i, c, s in found if c == category and s >= least}
    return accepted


def annotation(category, image_id=100, box=(0, 0, 10, 10), area=50, iscrowd=0):
    where = {"image_id": image_id, "category_id": category}
    return {**where, "bbox": list(box), "area": area, "iscrowd": iscrowd}


def test_densities_are_those_worked_out_by_hand(listed):
    objects = [
        annotation(1),
        annotation(1, area=100),
        annotation(90, 103, (0, 0, 4, 5), 5),
        annotation(3, iscrowd=1),
    ]
    assert box_density(Coco(listed(4), objects, [])) == Density(
        {1: 0.5, 90: 0.25}, {1: 0.75, 90: 0.25}
    )


@pytest.mark.parametrize("objects", [[], [annotation(3, iscrowd=1)]])
def test_a_set_without_objects_is_an_error(objects, listed):
    with pytest.raises(DataError, match="no instance to match"):
        box_density(Coco(listed(2), objects, []))


@pytest.mark.parametrize("seed", range(6))
def test_every_category_is_matched_as_a_slow_sort_does(seed, boxes, in_memory):
    rng = np.random.default_rng(seed)
    found = [
        (100 + int(rng.integers(40)), int(rng.choice([1, 3, 44, 90], p=(0.6, 0.3, 0.08, 0.02))), s)
        for s in (
            rng.permutation(400) / 400 if seed % 2 else rng.integers(1, 50, 400) / 50
        ).tolist()
    ]
    wanted = {1: 3.1, 3: 0.9, 44: 1.5, 90: 0.01, 77: 0.5}
    candidates = in_memory(boxes(*found[:150]), boxes(), boxes(*found[150:]))
    selection = select(candidates, 40, Density(wanted, {}), RULES)
    judged = [with_verdicts(table, selection, "match").to_pylist() for table in candidates.tables()]
    lines = [line for table in judged for line in table]
    accepted = {
        (line["image_id"], line["category_id"], line["score"]) for line in lines if line["accepted"]
    }
    assert accepted == slowly(found, 40, wanted)
    assert selection.instance.kept == sum(line["accepted"] for line in lines)
    for number, threshold in selection.by_category.items():
        mine = [line for line in lines if line["category_id"] == number]
        assert {line["threshold"] for line in mine} <= {threshold.value}
        assert threshold.kept == sum(line["accepted"] for line in mine)


def test_a_category_found_too_rarely_or_never_is_exhausted_and_stops_nothing(boxes, in_memory):
    candidates = in_memory(boxes((100, 1, 0.9), (100, 1, 0.4), (101, 3, 0.2), (101, 8, 0.99)))
    wanted = Density({1: 0.25, 3: 0.5, 44: 1.0, 90: 0.1}, {})
    selection = select(candidates, 4, wanted, RULES)
    assert selection.by_category == {
        1: Threshold(0.9, 1, 1, exhausted=False),
        3: Threshold(0.2, 2, 1, exhausted=True),
        44: Threshold(0.0, 4, 0, exhausted=True),
    }
    assert selection.instance == Threshold(0.0, 7, 2, exhausted=True)
    (table,) = candidates.tables()
    judged = with_verdicts(table, selection, "match")
    assert judged["accepted"].to_pylist() == [True, False, True, False]
    assert judged["threshold"].to_pylist() == [0.9, 0.9, 0.2, np.inf], "none is wanted of 8"


def test_a_fixed_score_is_the_same_for_every_category(boxes, in_memory):
    candidates = in_memory(boxes((100, 1, 0.9), (100, 1, 0.4), (101, 3, 0.2)))
    rules = Rules("fixed", None, min_score=0.3)
    selection = select(candidates, 4, Density({1: 1.0, 3: 1.0}, {}), rules)
    assert selection.by_category == {
        1: Threshold(0.3, 2, 2, exhausted=False),
        3: Threshold(0.3, 0, 0, exhausted=False),
    }


def test_what_is_not_accepted_may_be_ignored_whatever_its_category(boxes, in_memory):
    candidates = in_memory(boxes((100, 1, 0.9), (100, 1, 0.4), (101, 8, 0.5), (101, 8, 0.1)))
    rules = Rules(keypoints=None, min_ignored=0.3)
    selection = select(candidates, 4, Density({1: 0.25}, {}), rules)
    (table,) = candidates.tables()
    judged = with_verdicts(table, selection, "match")
    assert judged["ignored"].to_pylist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("found", "message"),
    [([], "found nothing in 4 images"), ([(100, 8, 0.9)], "none is kept of any category")],
)
def test_nothing_at_all_is_an_error(found, message, boxes, in_memory):
    with pytest.raises(DataError, match=message):
        select(in_memory(boxes(*found)), 4, Density({1: 1.0}, {}), RULES)


def test_generated_boxes_have_their_category_its_share_of_area_and_no_keypoints(boxes, in_memory):
    candidates = in_memory(boxes((100, 1, 0.9), (101, 90, 0.123456)))
    selection = select(candidates, 2, Density({1: 0.5, 90: 0.5}, {}), RULES)
    (table,) = candidates.tables()
    judged = with_verdicts(table, selection, "match")
    plain = {"iscrowd": 0}
    assert list(generate([judged], {1: 0.5, 90: 0.25})) == [
        {"id": 1, "image_id": 100, "category_id": 1, "score": 0.9,
         "bbox": [0.0, 0.0, 10.0, 20.0], "area": 100.0, **plain},
        {"id": 2, "image_id": 101, "category_id": 90, "score": 0.1235,
         "bbox": [1.0, 0.0, 10.0, 20.0], "area": 50.0, **plain},
    ]  # fmt: skip
