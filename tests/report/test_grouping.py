from dataclasses import replace
from functools import partial

import pytest

from datastill.errors import DataError
from datastill.project.data_schema import original_set
from datastill.report.grouping import TrainedRow, group_by_seed, pool_seeds


@pytest.fixture
def student_of_student(teacher, student):
    """A teacher and a student with two seeds each, and a student of the first student."""
    return [
        teacher(),
        teacher("teacher-1", 10, seed=1),
        student("a", 12),
        replace(student("a-1", 13, teacher="teacher-1"), seed=1),
        student("b", 12, teacher="a"),
    ]


def test_rows_that_differ_down_to_their_teachers_in_seeds_are_one_training_run(student_of_student):
    groups = group_by_seed(student_of_student)
    assert {str(run): [row.row for row in rows] for run, rows in groups.items()} == {
        "co-115 small 130000": ["teacher", "teacher-1"],
        "co-115_un-120 small 180000 of co-115 small 130000": ["a", "a-1"],
        "co-115_un-120 small 180000 of co-115_un-120 small 180000 of co-115 small 130000": ["b"],
    }
    assert [run.round for run in groups] == [1, 1, 2]


def test_other_teachers_of_the_same_round_can_be_left_out_of_account(teacher, student):
    rows = [teacher(), teacher("weak", 4, backbone="slim")]
    rows += [student("a", 9), student("b", 9, teacher="weak"), student("c", 9, teacher="a")]
    assert len(group_by_seed(rows)) == 5
    groups = group_by_seed(rows, by_teacher=False)
    assert [[row.row for row in group] for group in groups.values()][2:] == [["a", "b"], ["c"]]


def test_sets_whose_names_together_read_alike_are_different_trainings():
    shared = {"backbone": "small", "iterations": 1, "seed": 0, "teacher": "t"}
    one = TrainedRow(row="one", labelled="a", unlabelled="b_c", **shared)
    other = TrainedRow(row="other", labelled="a_b", unlabelled="c", **shared)
    assert len(group_by_seed([one, other])) == 2


def test_students_of_ensembles_that_differ_in_their_seeds_are_one_line(teacher, student):
    rows = [
        teacher(),
        teacher("teacher-1", 10, seed=1),
        student("plain", 12),
        student("a", 12, teacher="three", views=1),
        replace(student("a-1", 13, teacher="three-1", views=1), seed=1),
    ]
    three = {"three": ["teacher"] * 3, "three-1": ["teacher-1"] * 3}
    assert [line.row for line in pool_seeds(rows, three)] == ["teacher", "plain", "a"]
    assert [line.row for line in pool_seeds(rows)] == ["teacher", "plain", "a", "a-1"]


def test_one_training_twice_with_one_seed_is_refused(teacher):
    with pytest.raises(DataError, match=r"rows teacher and again: .* found 0 twice"):
        pool_seeds([teacher(), teacher("again")])


def test_rows_on_sets_drawn_anew_are_seeds_of_those_on_the_original_ones():
    sets = {
        "a": {"images": 1, "style": "sport"},
        "b": {"images": 1, "style": "sport"},
        "both": {"union": ["a", "b"]},
        "a-1": {"redraws": "a", "seed": 1},
        "b-1": {"redraws": "b", "seed": 1},
        "both-1": {"union": ["a-1", "b-1"]},
        "other": {"union": ["a-1"]},
    }
    spec = {"backbone": "small", "iterations": 1, "teacher": "t", "unlabelled": "b", "seed": 0}
    anew = {"labelled": "both-1", "unlabelled": "b-1", "seed": 1}
    specs = [{**spec, "labelled": "both"}, {**spec, **anew}, {**spec, "labelled": "other"}]
    of = partial(TrainedRow.of, original=partial(original_set, sets))
    rows = [of(each, row=str(number)) for number, each in enumerate(specs)]
    assert [(row.labelled, row.unlabelled) for row in rows] == [
        ("both", "b"), ("both", "b"), ("other", "b"),
    ]  # fmt: skip
    assert [[row.row for row in group] for group in group_by_seed(rows).values()] == [
        ["0", "1"],
        ["2"],
    ]


def test_a_supervised_row_has_no_unlabelled_set_to_look_up():
    spec = {"labelled": "a", "backbone": "small", "iterations": 1, "seed": 0}
    row = TrainedRow.of(spec, {"a": "original"}.__getitem__, row="r")
    assert (row.labelled, row.unlabelled) == ("original", None)
