"""How far would other seeds move a result? What the validation images alone cannot tell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import variance

import numpy as np
from numpy.typing import NDArray

_SEED = 0


@dataclass(frozen=True)
class Chance:
    """The standard deviation between the seeds of a training, pooled over trainings.

    degrees  of freedom: how many results it rests on, less one for every training; 0 if unknown
    """

    deviation: float
    degrees: int

    def of_difference(self, before: int, after: int, draws: int) -> NDArray[np.float64]:
        """Return how far it moves the difference of two means over so many seeds, (draws,).

        Student's t, for the deviation is itself an estimate; nothing where it is unknown.
        """
        if not self.degrees:
            return np.zeros(draws)
        scale = self.deviation * math.sqrt(1 / before + 1 / after)
        return scale * np.random.default_rng(_SEED).standard_t(self.degrees, draws)


def chance(trainings: Iterable[Sequence[float]]) -> Chance:
    """Return the chance of training by the values that the seeds of each training reached."""
    several = [values for values in trainings if len(values) > 1]
    degrees = sum(len(values) - 1 for values in several)
    squares = sum((len(values) - 1) * variance(values) for values in several)
    return Chance(math.sqrt(squares / degrees) if degrees else math.nan, degrees)
