import pytest

from datastill.errors import DataError
from datastill.report.paper import numbers, published

NAMES = (
    "table1_keypoints",
    "table2_iterations",
    "table3_test_time_augmentation",
    "table4_detection",
    "figure5_unlabelled_fraction",
    "figure6_teacher_quality",
)


@pytest.mark.parametrize("name", NAMES)
def test_every_table_of_the_paper_ships_with_the_package(name):
    table = published(name)
    assert len(table) >= 7
    assert not table.isna().all().any()


@pytest.mark.parametrize("name", ["table9", "../paper", ""])
def test_another_name_lists_those_there_are(name):
    with pytest.raises(DataError, match="table1_keypoints"):
        published(name)


def test_numbers_are_found_by_training_and_a_foreign_backbone_by_its_stand_in():
    paper = numbers(published("table1_keypoints"), "resnet50")
    assert paper.of(("co-35", None, "small", 130000))["ap"] == 54.9
    assert paper.of(("co-115", "un-120", "resnet101", 360000))["ap"] == 67.8
    assert paper.of(("co-35", None, "small", 360000)) == {}
    assert numbers(None, "resnet50").of(("co-35", None, "small", 130000)) == {}
