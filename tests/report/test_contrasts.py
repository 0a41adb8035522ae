"""Sums of results, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from datastill.evaluation.bootstrap import bootstrap
from datastill.report.contrasts import Term, by_seed, differences, is_of_views, value


@pytest.fixture
def pooled(teacher):
    """The mean of seeds that each find so many people through one view, and five more of all."""

    def build(finds):
        seeds = [
            teacher(f"{n}", found, many=min(20, found + 5), seed=n) for n, found in finds.items()
        ]
        metrics = {
            **seeds[0].metrics,
            "ap": np.mean([seed.metrics["ap"] for seed in seeds]),
            "with_views": {"ap": np.mean([seed.metrics["with_views"]["ap"] for seed in seeds])},
        }
        return replace(seeds[0], metrics=metrics, seeds=tuple(seeds))

    return build


def test_a_gain_is_paired_by_seed_whatever_the_order_and_over_shared_seeds_only(
    pooled, ap_of_images
):
    gain = [Term(1, pooled({2: 15, 0: 12, 5: 1}), 1), Term(-1, pooled({0: 5, 1: 20, 2: 10}), 1)]
    of = {found: ap_of_images(range(1, found + 1)) for found in (5, 10, 12, 15)}
    assert by_seed(gain) == pytest.approx([of[12] - of[5], of[15] - of[10]])
    assert value(gain) == pytest.approx((of[12] - of[5] + of[15] - of[10]) / 2)
    drawn = [
        bootstrap(after.matches) - bootstrap(before.matches)
        for seed in (0, 2)
        for after in gain[0].result.seeds
        for before in gain[1].result.seeds
        if after.seed == before.seed == seed
    ]
    np.testing.assert_allclose(differences(gain, 1000), np.mean(drawn, axis=0))


def test_without_a_shared_seed_a_gain_is_of_means(pooled):
    after, before = pooled({0: 15, 1: 16}), pooled({2: 5})
    gain = [Term(1, after, 1), Term(-1, before, 1)]
    assert by_seed(gain) == []
    assert value(gain) == pytest.approx(after.metrics["ap"] - before.metrics["ap"])
    parts = [bootstrap(each.matches) for each in (*after.seeds, *before.seeds)]
    np.testing.assert_allclose(differences(gain, 1000), (parts[0] + parts[1]) / 2 - parts[2])


def test_a_gain_from_views_is_between_detections_of_one_model(pooled, ap_of_images):
    model = pooled({0: 5, 1: 10})
    gain = [Term(1, model, 18), Term(-1, model, 1)]
    assert is_of_views(gain)
    assert not is_of_views(gain[1:])
    of = {found: ap_of_images(range(1, found + 1)) for found in (5, 10, 15)}
    assert by_seed(gain) == pytest.approx([of[10] - of[5], of[15] - of[10]])
    drawn = [bootstrap(seed.all_views) - bootstrap(seed.matches) for seed in model.seeds]
    np.testing.assert_allclose(differences(gain, 1000), np.mean(drawn, axis=0))
