import pytest
import torch

from datastill.coco.format import PERSON, PERSON_KEYPOINTS, Coco
from datastill.coco.metadata import build_metadata, category_ids
from datastill.errors import DataError

CATEGORIES = [{"id": number, "name": f"thing {number}"} for number in (90, 3, 44, 1)]


def test_ids_with_gaps_become_labels_from_1_on_and_come_back():
    found = build_metadata(Coco([], [], CATEGORIES), "boxes")
    assert found.ids == (1, 3, 44, 90)
    assert found.labels() == {1: 1, 3: 2, 44: 3, 90: 4}
    there = torch.tensor([found.labels()[number] for number in (90, 1, 44, 44, 3)])
    assert category_ids(there, found.ids).tolist() == [90, 1, 44, 44, 3]
    assert category_ids(there[:0], found.ids).tolist() == []


def test_names_stay_with_their_ids_whatever_the_order_of_the_file():
    forward, backward = (
        build_metadata(Coco([], [], each), "boxes") for each in (CATEGORIES, CATEGORIES[::-1])
    )
    assert forward == backward
    assert forward.categories[2] == {"id": 44, "name": "thing 44"}


def test_keypoints_are_looked_for_on_the_category_that_has_them():
    some = Coco([], [], [{"id": 1, "name": "car"}, {**PERSON, "id": 7}])
    assert build_metadata(some, "keypoints").labels() == {7: 1}
    assert build_metadata(some, "keypoints").skeleton.names == PERSON_KEYPOINTS
    assert build_metadata(some, "boxes").labels() == {1: 1, 7: 2}
    assert build_metadata(some, "boxes").skeleton.names == ()


@pytest.mark.parametrize("task", ["keypoints", "boxes"])
def test_nothing_to_look_for_is_an_error(task):
    with pytest.raises(DataError, match=rf"categories for the task {task}, found none"):
        build_metadata(Coco([], [], []), task)
