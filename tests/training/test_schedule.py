import pytest

from datastill.training.schedule import Schedule


def test_the_rate_rises_linearly_from_the_first_iteration_to_the_last_of_the_warm_up():
    schedule = Schedule(100, 0.02, warmup=4)
    rates = [schedule.rate(i) for i in range(6)]
    assert rates == pytest.approx([0.005, 0.01, 0.015, 0.02, 0.02, 0.02])


def test_the_rate_is_a_tenth_from_70_and_a_hundredth_from_90_of_100_iterations_on():
    schedule = Schedule(100, 0.02, warmup=10)
    rates = [schedule.rate(i) for i in range(100)]
    assert rates[9:70] == pytest.approx([0.02] * 61)
    assert rates[70:90] == pytest.approx([0.002] * 20)
    assert rates[90:] == pytest.approx([0.0002] * 10)


def test_without_warm_up_the_first_iteration_has_the_whole_rate():
    assert Schedule(100, 0.02, warmup=0).rate(0) == 0.02


@pytest.mark.parametrize("iterations", [10, 30, 1000, 90_000, 130_000])
def test_shares_of_any_training_fall_on_whole_iterations(iterations):
    schedule = Schedule(iterations, 1.0, warmup=0)
    first, second = iterations * 7 // 10, iterations * 9 // 10
    rates = [schedule.rate(i) for i in (first - 1, first, second - 1, second)]
    assert rates == pytest.approx([1, 0.1, 0.1, 0.01])


def test_drops_and_factor_are_free_and_drops_inside_the_warm_up_count():
    schedule = Schedule(10, 1.0, warmup=10, milestones=(0.2,), factor=0.5)
    assert [schedule.rate(i) for i in (1, 2, 9)] == pytest.approx([0.2, 0.15, 0.5])
