import numpy as np
import pytest

from datastill.distill.select import Threshold, matching_threshold
from datastill.errors import DataError


@pytest.mark.parametrize("wanted", [1, 137, 999, 1000])
def test_without_ties_exactly_as_many_are_kept_as_wanted(wanted):
    scores = np.random.default_rng(0).permutation(1000) / 1000
    threshold = matching_threshold(scores, wanted)
    assert threshold == Threshold((1000 - wanted) / 1000, wanted, wanted, exhausted=False)
    assert (scores >= threshold.value).sum() == wanted


def test_scores_that_tie_at_the_threshold_are_all_kept():
    scores = np.array([0.2, 0.5, 0.9, 0.5, 0.5, 0.1])
    for wanted in (2, 3, 4):
        assert matching_threshold(scores, wanted) == Threshold(0.5, wanted, 4, exhausted=False)
    assert matching_threshold(scores, 1) == Threshold(0.9, 1, 1, exhausted=False)
    assert matching_threshold(scores, 5) == Threshold(0.2, 5, 5, exhausted=False)


def test_too_few_predictions_are_all_kept_and_said_to_be_too_few():
    scores = np.array([0.3, 0.05, 0.7])
    assert matching_threshold(scores, 4) == Threshold(0.05, 4, 3, exhausted=True)
    assert not matching_threshold(scores, 3).exhausted


def test_the_scores_stay_as_they_were():
    scores = np.random.default_rng(0).random(50)
    before = scores.copy()
    matching_threshold(scores, 20)
    assert (scores == before).all()


@pytest.mark.parametrize(
    ("scores", "wanted", "message"),
    [
        ([], 5, "choose 5 of 0"),
        ([0.5, 0.6, 0.7], 0, "choose 0 of 3"),
        ([0.5], -1, "choose -1 of 1"),
        ([], 0, "choose 0 of 0"),
    ],
)
def test_nothing_to_choose_or_to_choose_from_is_an_error_with_both_counts(scores, wanted, message):
    with pytest.raises(DataError, match=message):
        matching_threshold(np.array(scores), wanted)
