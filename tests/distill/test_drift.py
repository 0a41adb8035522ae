import numpy as np
import pytest

from datastill.distill.drift import SetStats, category_warnings, drift
from datastill.distill.thresholds import Threshold


def stats(count, brightness, size=(640, 480), per_image=2, **changes):
    """Statistics of `count` images; in one of them the teacher finds three candidates."""
    steps, found = np.arange(count), {"scores": [0.31, 0.32, 0.91], "inferred": 1} | changes
    return SetStats(
        widths=size[0] + steps % 7.0,
        heights=size[1] + steps % 5.0,
        brightness=brightness + np.random.default_rng(0).normal(0, 10, count),
        instances=np.full(count, per_image),
        scores=np.array(found["scores"]),
        inferred=found["inferred"],
    )


def card(unlabelled, threshold=0.8):
    """The card of a labelled set of two instances per image, all of which the teacher finds."""
    return drift(stats(50, 120.0, scores=[0.99] * 20, inferred=10), unlabelled, threshold)


def test_like_sets_and_a_sound_threshold_raise_no_warning():
    assert card(stats(80, 121.0))["warnings"] == []


def test_a_darker_set_is_said_to_be_darker_by_so_many_deviations():
    found = card(stats(50, 100.0))
    assert found["shift"]["brightness"] == pytest.approx(-2.0, abs=0.3)
    assert len(found["warnings"]) == 1
    assert "brightness -" in found["warnings"][0]
    assert "select.instances: prior" in found["warnings"][0]


def test_smaller_images_are_said_to_be_smaller():
    warning = card(stats(50, 120.0, size=(160, 120)))["warnings"][0]
    assert "size -" in warning
    assert "brightness" not in warning


def test_upright_images_are_said_to_be_upright():
    found = card(stats(50, 120.0, size=(480, 640)))
    assert found["shift"]["aspect"] < 0
    assert "aspect -" in found["warnings"][0]


@pytest.mark.parametrize(("share", "told"), [(0.45, 0), (0.55, 1)])
def test_half_a_deviation_is_a_shift(share, told):
    one = np.random.default_rng(0).normal(0, 10, 50).std()
    assert len(card(stats(50, 120 + share * one))["warnings"]) == told


@pytest.mark.parametrize(("threshold", "told"), [(0.49, 1), (0.51, 0), (0.94, 0), (0.96, 1)])
def test_doubt_begins_below_a_half_and_above_95_percent(threshold, told):
    assert len(card(stats(50, 120.0), threshold)["warnings"]) == told


@pytest.mark.parametrize(
    ("threshold", "words"),
    [(0.2, "down to a score of 0.20 are accepted"), (0.97, "up to a score of 0.97 are rejected")],
)
def test_a_threshold_that_the_teacher_itself_contradicts_is_a_warning(threshold, words):
    (warning,) = card(stats(50, 120.0), threshold)["warnings"]
    assert words in warning


@pytest.mark.parametrize(("found", "words"), [(3.1, "finds 3.10 per"), (1.3, "finds 1.30 per")])
def test_a_threshold_that_miscounts_labelled_images_is_a_warning(found, words):
    labelled = stats(50, 120.0, scores=[0.9] * round(10 * found), inferred=10)
    (warning,) = drift(labelled, stats(50, 120.0), 0.8)["warnings"]
    assert words in warning
    assert "people marked 2.00" in warning
    assert "instances: prior" in warning


def test_scores_and_instances_are_counted():
    found = card(stats(50, 120.0, per_image=9, inferred=4))
    assert found["labelled"]["images_by_instances"] == [0, 0, 50, 0, 0, 0]
    assert found["unlabelled"]["images_by_instances"] == [0, 0, 0, 0, 0, 50]
    tenths = found["unlabelled"]["candidates_per_image_by_score"]
    assert tenths == [0, 0, 0, 0.5, 0, 0, 0, 0, 0, 0.25]
    assert found["unlabelled"]["found_per_image"] == 0.25
    assert found["labelled"]["found_per_image"] == 2


def test_of_thresholds_by_category_nothing_is_said_and_no_prior_is_advised():
    (warning,) = drift(stats(50, 120.0), stats(50, 40.0), None)["warnings"]
    assert "as much of every category" in warning
    assert "prior" not in warning
    assert "found_per_image" not in drift(stats(50, 120.0), stats(50, 120.0), None)["labelled"]


def test_categories_that_people_annotate_otherwise_are_named_by_their_problem():
    names = ["car", "cup", "kite", "dog", "comb", "bed"]
    thresholds = {
        "car": Threshold(0.8, 9, 9, exhausted=False),
        "cup": Threshold(0.3, 4, 4, exhausted=False),
        "kite": Threshold(0.6, 4, 1, exhausted=True),
        "dog": Threshold(0.0, 2, 0, exhausted=True),
    }
    warnings = list(category_warnings(names, {*names} - {"bed"}, thresholds))
    named = [warning.partition(": ")[2] for warning in warnings]
    assert named == ["dog (2)", "kite (1 of 4)", "cup (0.30)", "comb", "bed"]


def test_of_many_categories_the_first_are_named_and_the_rest_counted():
    (warning,) = category_warnings([f"c{i}" for i in range(20)], set(), {})
    assert warning.endswith(": c0, c1, c2, c3, c4, c5, c6, c7, and 12 more")
