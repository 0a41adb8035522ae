"""Contrasts: gains as sums of results, some of them subtracted, paired over images and seeds."""

from collections.abc import Sequence
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


def of_views(contrast: Sequence[Term]) -> bool:
    """Return whether numbers of views are compared, by the same models."""
    return any(term.views > 1 for term in contrast)


def by_seed(contrast: Sequence[Term]) -> list[float]:
    """Return the contrast of each seed that all its results have."""
    aps = [{s.seed: s.tested(t.views)["ap"] for s in seeds_of(t.result)} for t in contrast]
    shared = [seed for seed in aps[0] if all(seed in ap for ap in aps)]
    pairs = list(zip(contrast, aps, strict=True))
    return [float(sum(term.sign * ap[seed] for term, ap in pairs)) for seed in shared]


def seeds_of(result: Result) -> tuple[Result, ...]:
    """Return the results of each seed that `result` is the mean of, or itself."""
    return result.seeds or (result,)


def resampled(result: Result, views: int, resamples: int) -> NDArray[np.float64]:
    """Return the AP of a result in every resample of the images, (resamples,)."""
    seeds = [each.all_views if views > 1 else each.matches for each in seeds_of(result)]
    return mean_resamples([matches for matches in seeds if matches], resamples)


def differences(contrast: Sequence[Term], resamples: int) -> NDArray[np.float64]:
    """Return the contrast in every resample of the images, (resamples,)."""
    parts = [t.sign * resampled(t.result, t.views, resamples) for t in contrast]
    return np.sum(parts, axis=0)
