"""Contrasts: gains as sums of results, some of them subtracted, paired over images and seeds."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datastill.report.grouping import Result
from datastill.report.multiple_testing import mean_resamples


class Term(NamedTuple):
    """A result in a contrast, added (1) or subtracted (-1)."""

    sign: int
    result: Result
    views: int


Contrast = Sequence[Term]


def is_of_views(contrast: Contrast) -> bool:
    """Return whether numbers of views are compared, by the same models."""
    return any(term.views > 1 for term in contrast)


def by_seed(contrast: Contrast) -> list[float]:
    """Return the contrast in AP of each seed that all its results have."""
    return [
        float(sum(t.sign * _of_seed(t.result, seed).tested(t.views)["ap"] for t in contrast))
        for seed in _shared(contrast)
    ]


def value(contrast: Contrast) -> float:
    """Return the contrast in AP: its mean over the seeds that all results share, if any."""
    means = [term.sign * term.result.tested(term.views)["ap"] for term in contrast]
    return fmean(by_seed(contrast) or [sum(means)])


def differences(contrast: Contrast, resamples: int) -> NDArray[np.float64]:
    """Return `value` in every resample of the images, (resamples,)."""
    shared = _shared(contrast)
    parts = []
    for sign, result, views in contrast:
        seeds = [_of_seed(result, seed) for seed in shared] or seeds_of(result)
        parts.append(sign * resampled(seeds, views, resamples))
    return np.sum(parts, axis=0)


def seeds_of(result: Result) -> Sequence[Result]:
    """Return the results of each seed that `result` is the mean of, or itself."""
    return result.seeds or (result,)


def resampled(seeds: Sequence[Result], views: int, resamples: int) -> NDArray[np.float64]:
    """Return the mean AP of `seeds` in every resample of the images, (resamples,)."""
    matched = [each.all_views if views > 1 else each.matches for each in seeds]
    return mean_resamples([matches for matches in matched if matches], resamples)


def _shared(contrast: Contrast) -> list[int]:
    of_each = [{each.seed for each in seeds_of(term.result)} for term in contrast]
    return sorted(set.intersection(*of_each))


def _of_seed(result: Result, seed: int) -> Result:
    return next(each for each in seeds_of(result) if each.seed == seed)
