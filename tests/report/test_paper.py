from hashlib import sha256
from importlib.resources import files

import pytest

from datastill.errors import DataError
from datastill.report.paper import numbers, published

# Beginnings of the SHA-256 of each table, as it was read from the paper digit by digit.
DIGESTS = {
    "table1_keypoints": "92db01b105a349a629fa19f4592d8858ed0ef836",
    "table2_iterations": "42baa5f21b0b4585f41da4c0887c089a56647916",
    "table3_test_time_augmentation": "50e357b3984353115c35e8898d27243f91db667e",
    "table4_detection": "21acc7f70559dbf826acdb419c08fc568cb10040",
    "figure5_unlabelled_fraction": "9e3030007093a477285588fcca5b36a81b895d20",
    "figure6_teacher_quality": "5a4c985746a727d1381935e43dbbf1fe7d91e7d2",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_every_number_of_the_paper_is_as_it_was_read(name):
    file = files("datastill.report") / "paper" / f"{name}.csv"
    assert sha256(file.read_bytes()).hexdigest().startswith(DIGESTS[name])
    assert len(published(name)) >= 7


@pytest.mark.parametrize("name", ["table9", "../paper", ""])
def test_another_name_lists_those_there_are(name):
    with pytest.raises(DataError, match="table1_keypoints"):
        published(name)


def test_numbers_are_found_by_training_and_a_foreign_backbone_by_its_stand_in():
    paper = numbers(published("table1_keypoints"))
    assert paper.of(("co-35", None, "small", 130000))["ap"] == 54.9
    assert paper.of(("co-115", "un-120", "resnet101", 360000))["ap"] == 67.8
    assert paper.of(("co-36", None, "small", 130000)) == {}
    assert numbers(None).of(("co-35", None, "small", 130000)) == {}


def test_numbers_stand_beside_any_length_where_the_paper_has_one():
    paper = numbers(published("table1_keypoints"))
    assert paper.of(("co-35", None, "small", 360000))["ap"] == 54.9
    assert not paper.has_length(("co-35", None, "small", 360000))
    assert paper.has_length(("co-35", None, "small", 130000))


def test_where_the_paper_has_several_lengths_only_the_same_one_stands_beside_ours():
    paper = numbers(published("table2_iterations"))
    assert paper.of(("co-115", None, "resnet50", 270000))["ap"] == 64.7
    assert paper.of(("co-115", None, "resnet50", 260000)) == {}
