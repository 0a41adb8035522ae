"""The variance between seeds, which intervals over the validation images leave out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import variance
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Two runs differ by chance with √2 times the sd of one; beyond 3 times that, chance is unlikely.
FACTOR = 3 * math.sqrt(2)


@dataclass(frozen=True)
class SeedVariance:
    """The standard deviation of a metric between seeds, pooled over training runs, in its units.

    degrees  of freedom: the number of results, less one per training run; 0 if unknown
    seeds    the number of seeds of each training run that has several
    """

    sd: float
    degrees: int
    seeds: Mapping[Any, int]

    @property
    def tolerance(self) -> float:
        """How far two runs may differ by chance, with two decimals."""
        return max(0.01, round(FACTOR * self.sd, 2))

    def of_difference(self, before: int, after: int, draws: int) -> NDArray[np.float64]:
        """Sample what other seeds would add to a difference of means over so many seeds, (draws,).

        Student's t, for the sd is itself an estimate; zeros if it is unknown.
        """
        if not self.degrees:
            return np.zeros(draws)
        scale = self.sd * math.sqrt(1 / before + 1 / after)
        return scale * np.random.default_rng(0).standard_t(self.degrees, draws)


def seed_variance(values: Mapping[Any, Sequence[float]]) -> SeedVariance:
    """Return the variance between the `values` that the seeds of each training run reached."""
    several = {training: seeds for training, seeds in values.items() if len(seeds) > 1}
    counts = {training: len(seeds) for training, seeds in several.items()}
    degrees = sum(counts.values()) - len(counts)
    squares = sum((len(seeds) - 1) * variance(seeds) for seeds in several.values())
    return SeedVariance(math.sqrt(squares / degrees) if degrees else math.nan, degrees, counts)
