import numpy as np
import pytest

from datastill.report.multiple_testing import add_verdicts, gain_values, holm, p_value


def test_a_p_value_counts_the_rarer_side_twice_and_is_never_zero():
    assert p_value(np.arange(1, 1000.0), 20) == pytest.approx(2 / 1000)
    assert p_value(np.array([-1.0, 1, 2, 3]), 20) == pytest.approx(2 * 2 / 5)
    assert p_value(np.array([-1.0, 1]), 20) == 1
    assert p_value(np.zeros(9), 20) == 1


@pytest.mark.parametrize("families", [1, 2, 5, 20])
@pytest.mark.parametrize("gain", [3.0, -30.0, 60.0, 99.0])
def test_where_all_resamples_agree_p_and_interval_tell_the_same(gain, families):
    """All frames of one video, say: resamples without doubt are no evidence without end."""
    values = gain_values("gain", gain, np.full(999, gain), np.zeros(999), families)
    assert (values["gain_p"] < 0.05) == (not values["gain_low"] <= 0 <= values["gain_high"])
    assert values["gain_p"] >= 2 / 1000


def test_a_draw_without_truth_says_nothing_about_a_difference():
    some = np.array([-1.0, 1, 2, 3])
    assert p_value(np.append(some, [np.nan] * 90), 20) == p_value(some, 20)


def test_holm_by_hand():
    """Holm's own steps: 0.01 x 4, 0.02 x 3, 0.03 x 2 and, never less than one before, 0.04."""
    assert holm([0.02, 0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.06, 0.04, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(("resamples", "told"), [(1000, False), (79, True)])
def test_too_few_resamples_to_tell_anything_are_said_to_be(caplog, resamples, told):
    """Of 79, the smallest p-value is 2 / 80; of two gains, that is 0.05 by Holm."""
    add_verdicts([{"gain": 9.0, "gain_p": 2 / (1 + resamples)} for _ in range(2)], resamples)
    assert ("raise evaluate.resamples above 80" in caplog.text) == told


def slowly(values):
    """By its definition as a test: the smallest level at which each is rejected."""
    found = []
    for value in values:
        levels = []
        for level in np.linspace(0, 1, 20001):
            rejected, rest = [], sorted(values)
            while rest and rest[0] * len(rest) <= level + 1e-12:
                rejected.append(rest.pop(0))
            if value in rejected:
                levels.append(level)
                break
        found.append(min(levels, default=1.0))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_holm_rejects_what_its_definition_rejects(seed):
    values = np.random.default_rng(seed).beta(0.4, 3, 6).tolist()
    assert holm(values) == pytest.approx(slowly(values), abs=1e-4)


def test_of_families_without_any_difference_few_show_one():
    """2,000 families of 8 with uniform p-values: at 0.05 at most 5 % of them may err."""
    draws = np.random.default_rng(0).random((2000, 8))
    erring = np.mean([min(holm(family.tolist())) < 0.05 for family in draws])
    assert 0.035 < erring < 0.065


def test_other_seeds_make_a_gain_less_sure_and_never_surer():
    images = np.linspace(1, 5, 999)
    alone = gain_values("gain", 3, images, np.zeros(999), 20)
    noise = np.random.default_rng(0).normal(0, 4, 999)
    moved = gain_values("gain", 3, images, noise, 20)
    assert moved["gain_low"] < 0 < alone["gain_low"]
    assert moved["gain_high"] > alone["gain_high"]
    assert moved["gain_p"] > 0.05 > alone["gain_p"]
    narrowing = gain_values("gain", 3, images, (3 - images) / 2, 20)  # no seeds do that
    assert (narrowing["gain_low"], narrowing["gain_p"]) == (alone["gain_low"], alone["gain_p"])


def test_one_gain_in_two_columns_is_corrected_for_once():
    def line(**more):
        gains = {"gain": 1.0, "gain_p": 0.02, "control_gain": 1.0, "control_gain_p": 0.02}
        return {**gains, "over": "a", **more}

    once, twice = line(control="a"), line(control="b")
    for each in (once, twice):
        add_verdicts([each], 1000)
    assert once["gain_p"] == once["control_gain_p"] == 0.02
    assert once["control_gain_verdict"] == once["gain_verdict"] == "gain"
    assert twice["gain_p"] == twice["control_gain_p"] == 0.04
