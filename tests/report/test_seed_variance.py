import math

import numpy as np
import pytest

from datastill.evaluation.bootstrap import interval
from datastill.report.seed_variance import seed_variance


def test_the_deviation_is_pooled_over_trainings_by_hand():
    """Squares 2 + 0 + 8 over 2 + 1 + 1 degrees of freedom; one result alone says nothing."""
    found = seed_variance({"a": [1, 2, 3], "b": [5, 5], "c": [2, 6], "d": [9]})
    assert found.seeds == {"a": 3, "b": 2, "c": 2}
    assert (found.sd, found.degrees) == (pytest.approx(math.sqrt(10 / 4)), 4)


def test_without_a_second_seed_nothing_is_known_and_nothing_added():
    found = seed_variance({"a": [1.0], "b": [2.0]})
    assert found.degrees == 0
    assert not found.of_difference(1, 1, 10).any()


def test_more_seeds_move_a_mean_less():
    found = seed_variance({"a": [1, 2, 3]})
    one, four = found.of_difference(1, 1, 50), found.of_difference(4, 4, 50)
    np.testing.assert_allclose(one, 2 * four)


def test_an_interval_of_few_seeds_holds_what_endless_seeds_would_give():
    """Trainings whose true difference is 2, three seeds each, on images that leave no doubt."""
    generator = np.random.default_rng(3)
    repetitions, hits = 2000, 0
    for _ in range(repetitions):
        seeds = generator.normal([[30], [32], [40], [41]], 0.8, (4, 3))
        moved = seed_variance(dict(enumerate(seeds.tolist()))).of_difference(3, 3, 1000)
        low, high = interval(seeds[1].mean() - seeds[0].mean() + moved, 1000, difference=True)
        hits += low <= 2 <= high
    assert 0.93 <= hits / repetitions <= 0.97


@pytest.mark.parametrize(("seeds", "tolerance"), [([10, 12], 6.0), ([5, 5], 0.01)])
def test_a_tolerance_is_three_sd_of_a_difference_and_never_below_rounding(seeds, tolerance):
    assert seed_variance({"a": seeds}).tolerance == tolerance
