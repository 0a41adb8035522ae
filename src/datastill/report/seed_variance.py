"""The variance between seeds, which intervals over the validation images leave out."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import variance
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Two runs differ by chance with √2 times the sd of one; beyond 3 times that, chance is unlikely.
FACTOR = 3 * math.sqrt(2)


@dataclass(frozen=True)
class SeedVariance:
    """The standard deviation of a value between seeds, pooled over training runs, in its units.

    degrees  of freedom: the number of results, less one per training run; 0 if unknown
    seeds    the number of seeds of each training run that has several
    """

    sd: float = math.nan
    degrees: int = 0
    seeds: Mapping[Any, int] = field(default_factory=dict)

    @property
    def tolerance(self) -> float:
        """How far two runs may differ by chance, with two decimals."""
        return max(0.01, round(FACTOR * self.sd, 2))

    def of_mean(self, seeds: int, draws: int, stream: int = 0) -> NDArray[np.float64]:
        """Sample the error of a mean over this many `seeds`, (draws,).

        From Student's t, because the sd is itself an estimate; zeros if it is unknown. Different
        streams are independent.
        """
        if not self.degrees:
            return np.zeros(draws)
        scale = self.sd / math.sqrt(seeds)
        return scale * np.random.default_rng(stream).standard_t(self.degrees, draws)


@dataclass(frozen=True)
class BetweenSeeds:
    """The variance between seeds of AP, and of gains: differences of rows with the same seed.

    A profile with one seed per row borrows both from one with several.
    """

    ap: SeedVariance = SeedVariance()
    gain: SeedVariance = SeedVariance()

    def columns(self) -> dict[str, float]:
        """Return both as columns of a table, NaN if unknown."""
        return {
            "seed_sd": self.ap.sd,
            "seed_degrees": self.ap.degrees or math.nan,
            "seed_gain_sd": self.gain.sd,
            "seed_gain_degrees": self.gain.degrees or math.nan,
        }

    def or_borrowed(self, borrowed: "BetweenSeeds") -> "BetweenSeeds":
        """Return the variances that are known here, the others as `borrowed`.

        Of a gain, if that is unknown too, it is at most that of a difference of unpaired runs.
        """
        ap = self.ap if self.ap.degrees else borrowed.ap
        unpaired = SeedVariance(math.sqrt(2) * ap.sd, ap.degrees)
        known = (gain for gain in (self.gain, borrowed.gain) if gain.degrees)
        return BetweenSeeds(ap, next(known, unpaired))


@dataclass(frozen=True)
class Sampling:
    """How intervals are made: resamples of the images, and the variance between seeds to borrow."""

    resamples: int = 1000
    borrowed: BetweenSeeds = BetweenSeeds()


OWN = Sampling()  # nothing is borrowed


def seed_variance(values: Mapping[Any, Sequence[float]]) -> SeedVariance:
    """Return the variance between the `values` that the seeds of each training run reached."""
    several = {training: seeds for training, seeds in values.items() if len(seeds) > 1}
    counts = {training: len(seeds) for training, seeds in several.items()}
    degrees = sum(counts.values()) - len(counts)
    squares = sum((len(seeds) - 1) * variance(seeds) for seeds in several.values())
    return SeedVariance(math.sqrt(squares / degrees) if degrees else math.nan, degrees, counts)


def gain_variance(groups: Iterable[Sequence[Mapping[int, float]]]) -> SeedVariance:
    """Return the variance between seeds of a gain, pooled over groups of training runs.

    A training run is its AP by seed. A seed moves all runs of a group together, for they share
    images; what remains moves their differences, with twice its variance. Only seeds that all
    runs of a group have count, of those runs that have several.
    """
    squares, degrees = 0.0, 0
    for group in groups:
        runs = [run for run in group if len(run) > 1]
        seeds = sorted(set.intersection(*map(set, runs))) if runs else []
        if len(runs) > 1 and len(seeds) > 1:
            ap = np.array([[run[seed] for seed in seeds] for run in runs])
            rest = ap - ap.mean(axis=0) - ap.mean(axis=1, keepdims=True) + ap.mean()
            squares += float((rest**2).sum())
            degrees += (len(runs) - 1) * (len(seeds) - 1)
    return SeedVariance(math.sqrt(2 * squares / degrees) if degrees else math.nan, degrees)
