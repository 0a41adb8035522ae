import math
from itertools import combinations
from statistics import stdev

import numpy as np
import pytest

from datastill.evaluation.bootstrap import interval
from datastill.report.seed_variance import (
    BetweenSeeds,
    SeedVariance,
    gain_variance,
    seed_variance,
)


def test_the_deviation_is_pooled_over_trainings_by_hand():
    """Squares 2 + 0 + 8 over 2 + 1 + 1 degrees of freedom; one result alone says nothing."""
    found = seed_variance({"a": [1, 2, 3], "b": [5, 5], "c": [2, 6], "d": [9]})
    assert found.seeds == {"a": 3, "b": 2, "c": 2}
    assert (found.sd, found.degrees) == (pytest.approx(math.sqrt(10 / 4)), 4)


def test_without_a_second_seed_nothing_is_known_and_nothing_added():
    found = seed_variance({"a": [1.0], "b": [2.0]})
    assert found.degrees == 0
    assert math.isnan(found.sd)
    assert found.of_mean(1, 10).tolist() == [0.0] * 10


def test_more_seeds_move_a_mean_less():
    found = seed_variance({"a": [1, 2, 3]})
    one, four = found.of_mean(1, 50), found.of_mean(4, 50)
    np.testing.assert_allclose(one, 2 * four)


def test_what_other_seeds_add_follows_students_t_of_these_degrees():
    """Of 3 degrees the 97.5th percentile is 3.18, of a normal distribution 1.96."""
    moved = SeedVariance(sd=2.0, degrees=3).of_mean(1, 200_000)
    assert np.quantile(moved, [0.025, 0.975]) == pytest.approx([-2 * 3.182, 2 * 3.182], rel=0.03)


def test_streams_are_independent_and_repeat_themselves():
    found = seed_variance({"a": [1, 2, 3]})
    one, other = found.of_mean(1, 20_000, stream=0), found.of_mean(1, 20_000, stream=1)
    np.testing.assert_array_equal(one, found.of_mean(1, 20_000))
    ranks = [np.argsort(np.argsort(each)) for each in (one, other)]
    assert abs(np.corrcoef(ranks)[0, 1]) < 0.03


def test_a_gain_varies_as_the_differences_of_its_pairs():
    """Of seeds 0 to 2 the gains are 3, 5 and 2; seeds 4 and 7 have no partner."""
    pair = [{0: 30.0, 1: 31.0, 2: 35.0, 4: 9.0}, {2: 37.0, 1: 36.0, 0: 33.0, 7: 50.0}]
    found = gain_variance([pair])
    assert (found.sd, found.degrees) == (pytest.approx(stdev([3, 5, 2])), 2)


def test_a_gain_of_several_runs_varies_as_their_pairs_do_on_average():
    generator = np.random.default_rng(1)
    groups = [generator.normal(0, 1, shape) for shape in ((4, 5), (2, 3))]
    pairs = [[b - a for a, b in combinations(group, 2)] for group in groups]
    of_each = [np.mean([np.var(gains, ddof=1) for gains in each]) for each in pairs]
    found = gain_variance([[dict(enumerate(run)) for run in group.tolist()] for group in groups])
    assert found.degrees == 3 * 4 + 1 * 2
    assert found.sd == pytest.approx(math.sqrt((12 * of_each[0] + 2 * of_each[1]) / 14))


def test_what_moves_all_runs_of_a_group_alike_moves_no_gain():
    runs = [
        {seed: level + shift for seed, shift in enumerate((0, 7, -4))} for level in (20, 30, 33)
    ]
    assert gain_variance([runs]).sd == pytest.approx(0, abs=1e-12)
    assert seed_variance(dict(enumerate([*run.values()] for run in runs))).sd > 5


def test_runs_of_one_seed_or_without_a_shared_one_say_nothing_of_gains():
    pair = [{0: 30.0, 1: 31.0}, {0: 33.0, 1: 36.0}]
    assert gain_variance([[*pair, {0: 9.0}]]) == gain_variance([pair])
    for nothing in ([], [[]], [pair[:1]], [[pair[0], {0: 33.0}]], [[pair[0], {1: 1.0, 2: 2.0}]]):
        assert gain_variance(nothing).degrees == 0


def test_only_what_is_unknown_is_borrowed():
    own, other = SeedVariance(0.4, 3), SeedVariance(0.9, 10)
    borrowed = BetweenSeeds(ap=other, gain=other)
    assert BetweenSeeds(ap=own).or_borrowed(borrowed) == BetweenSeeds(ap=own, gain=other)
    assert BetweenSeeds(gain=own).or_borrowed(borrowed) == BetweenSeeds(ap=other, gain=own)
    nothing = BetweenSeeds().or_borrowed(BetweenSeeds())
    assert nothing.ap.degrees == nothing.gain.degrees == 0


def test_a_gain_of_which_nothing_is_known_varies_as_one_of_unpaired_runs():
    own = SeedVariance(0.4, 3)
    found = BetweenSeeds(ap=own).or_borrowed(BetweenSeeds())
    assert (found.ap, found.gain) == (own, SeedVariance(math.sqrt(0.4**2 + 0.4**2), 3))


def test_an_interval_of_few_seeds_holds_what_endless_seeds_would_give():
    """Runs whose true gain is 2, three seeds each, on images that leave no doubt.

    A seed's own image sets raise or lower both rows of a pair: that much more than its gain.
    """
    generator = np.random.default_rng(3)
    repetitions, hits = 2000, 0
    for _ in range(repetitions):
        sets = generator.normal(0, 5, (2, 1, 3))
        pairs = generator.normal([[[30], [32]], [[40], [41]]], 0.8, (2, 2, 3)) + sets
        runs = [[dict(enumerate(run)) for run in pair] for pair in pairs.tolist()]
        moved = gain_variance(runs).of_mean(3, 1000)
        low, high = interval(np.mean(pairs[0, 1] - pairs[0, 0]) + moved, 1000, difference=True)
        hits += low <= 2 <= high
    assert 0.93 <= hits / repetitions <= 0.97


@pytest.mark.parametrize(("seeds", "tolerance"), [([10, 12], 6.0), ([5, 5], 0.01)])
def test_a_tolerance_is_three_sd_of_a_difference_and_never_below_rounding(seeds, tolerance):
    assert seed_variance({"a": seeds}).tolerance == tolerance
