"""Which predictions become annotations (section 4): as many as people draw, by no hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datastill.errors import DataError


@dataclass(frozen=True)
class Threshold:
    """The score from which on predictions are kept, and whether there were enough to choose from.

    wanted, kept   numbers of predictions; `kept` is larger where scores tie at the threshold
    exhausted      True where fewer exist than wanted: all are kept, whatever their score
    """

    value: float
    wanted: int
    kept: int
    exhausted: bool


def matching_threshold(scores: NDArray[np.float64], wanted: int) -> Threshold:
    """Return the threshold that keeps `wanted` of all `scores`.

    Raises DataError where there is no score at all or nothing is wanted.
    """
    if len(scores) == 0 or wanted < 1:
        raise DataError(f"cannot choose {wanted} of {len(scores)} predictions")
    if wanted > len(scores):
        return Threshold(float(scores.min()), wanted, len(scores), exhausted=True)
    value = float(np.partition(scores, len(scores) - wanted)[len(scores) - wanted])
    return Threshold(value, wanted, int((scores >= value).sum()), exhausted=False)
