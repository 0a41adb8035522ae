"""Scores of training runs: means over seeds, intervals, and gains paired over images and seeds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datastill.evaluation.bootstrap import average_precision
from datastill.evaluation.pixel_errors import measure, samples
from datastill.report.grouping import Comparison, Result, Results, Training
from datastill.report.multiple_testing import gain_values, mean_resamples, noisy_interval
from datastill.report.seed_variance import BetweenSeeds, Sampling, gain_variance, seed_variance

Values = dict[str, Any]  # some columns of a line


@dataclass(frozen=True)
class Measure:
    """What is measured of a result: `value`, unrounded, and `sampled`, in resamples of the images.

    name     among the result's metrics
    highest  that it can be
    """

    name: str
    highest: float
    value: Callable[[Result], float]
    sampled: Callable[[Result, int], NDArray[np.float64]]


def _rmse(result: Result) -> float:
    return float(measure(result.errors, "rmse")[0]) if result.errors else math.nan


def _sampled_rmse(result: Result, resamples: int) -> NDArray[np.float64]:
    return (
        samples(result.errors, "rmse", resamples) if result.errors else np.full(resamples, np.nan)
    )


AP = Measure(
    "ap",
    100,
    lambda result: average_precision(result.matches).ap,
    lambda result, resamples: mean_resamples([result.matches], resamples),
)
RMSE = Measure("rmse", math.inf, _rmse, _sampled_rmse)  # NaN for a result without pixel errors


@dataclass(frozen=True)
class Scores:
    """One measure of all results, and its variance between seeds.

    between_seeds  pooled over all training runs, and over all gains
    """

    results: Results
    measure: Measure
    resamples: int
    between_seeds: BetweenSeeds
    samples: dict[int, NDArray[np.float64]] = field(default_factory=dict)  # by id of result

    def columns(self, run: Training) -> Values:
        """Return the interval and the standard deviation between seeds, by column."""
        results, name = self.results[run], self.measure.name
        noise = self.between_seeds.ap.of_mean(len(results), self.resamples)
        low, high = self._interval(self._mean_sample(results), noise)
        values = [v for result in results if (v := result.metrics.get(name)) is not None]
        known = len(values) == len(results) > 1
        sd = float(np.std(values, ddof=1)) if known else None
        return {f"{name}_low": low, f"{name}_high": high, f"{name}_sd": sd}

    def _interval(
        self, images: NDArray[np.float64], noise: NDArray[np.float64]
    ) -> tuple[float, float]:
        if np.isnan(images).all():
            return math.nan, math.nan
        highest = self.measure.highest
        return noisy_interval(images, noise, self.families, difference=False, highest=highest)

    def _mean_sample(self, seeds: Sequence[Result]) -> NDArray[np.float64]:
        for result in seeds:
            if id(result) not in self.samples:
                self.samples[id(result)] = self.measure.sampled(result, self.resamples)
        return np.mean([self.samples[id(result)] for result in seeds], axis=0)

    @property
    def families(self) -> int:
        """The number of families of validation images, the same for all results."""
        return next(iter(self.results.values()))[0].matches.families

    def pair(self, before: Training, after: Training) -> tuple[list[Result], list[Result]]:
        """Return the results of the seeds that both have or, if none, of all."""
        old, new = self.results[before], self.results[after]
        shared = {result.seed for result in old} & {result.seed for result in new}
        kept = [[r for r in side if r.seed in shared or not shared] for side in (old, new)]
        return kept[0], kept[1]

    def gain(self, before: Training, after: Training) -> float:
        """Return the gain in the mean, unrounded."""
        low, high = (fmean(map(self.measure.value, side)) for side in self.pair(before, after))
        return high - low

    def differences(self, before: Training, after: Training) -> NDArray[np.float64]:
        """Return the gain of `after` in every resample of the images, (resamples,)."""
        old, new = map(self._mean_sample, self.pair(before, after))
        return new - old

    def gain_columns(self, name: str, before: Training, after: Training) -> Values:
        """Return the gain of `after`, its interval and p-value by column, {} if it has none."""
        gain, seeds = self.gain(before, after), min(map(len, self.pair(before, after)))
        if math.isnan(gain):
            return {}
        noise = self.between_seeds.gain.of_mean(seeds, self.resamples)
        differences, highest = self.differences(before, after), self.measure.highest
        return gain_values(name, gain, differences, noise, self.families, highest=highest)


def build_scores(
    results: Results, compared: list[list[Comparison]], measure: Measure, sampling: Sampling
) -> Scores:
    """Return the scores with the variance of the seeds of `results` or, if unknown, borrowed."""
    variance = _between_seeds(results, compared, measure.name).or_borrowed(sampling.borrowed)
    return Scores(results, measure, sampling.resamples, variance)


def _between_seeds(results: Results, compared: list[list[Comparison]], name: str) -> BetweenSeeds:
    """Return the variance of a metric of all training runs, and of gains over the same baseline."""
    by_seed = {
        run: {r.seed: float(v) for r in results[run] if (v := r.metrics.get(name)) is not None}
        for run in results
    }
    groups: dict[Training, dict[Training, Mapping[int, float]]] = {}
    for comparison in (comparison for section in compared for comparison in section):
        group = groups.setdefault(comparison[0][1], {})
        group |= {run: by_seed[run] for _, run in comparison}
    score = seed_variance({run: [*seeds.values()] for run, seeds in by_seed.items()})
    return BetweenSeeds(score, gain_variance([*group.values()] for group in groups.values()))
