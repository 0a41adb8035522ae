"""How likely is a difference by chance, when several are looked at? Bootstrap p-values and Holm."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
GAINS = ("gain", "control_gain")
UNSURE = "not distinguishable"

_log = logging.getLogger(__name__)


def p_value(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of resampled `differences` (n,) against none at all.

    Twice the share on the rarer side of 0, the value itself counted in: never 0 (Davison and
    Hinkley, Bootstrap Methods and their Application, 4.2). NaN, a draw without truth, says nothing.
    """
    defined = differences[~np.isnan(differences)]
    below, above = (defined <= 0).sum(), (defined >= 0).sum()
    return float(min(1.0, 2 * (1 + min(below, above)) / (1 + len(defined))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for being looked at together (Holm 1979), in their order.

    Whoever calls those below 0.05 a difference errs anywhere in the family in 5 % of all families.
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def judge(rows: Sequence[dict[str, Any]], resamples: int) -> None:
    """Correct the p-values of a table's gains for each other, and write what each comes to.

    A gain has its p-value in `gain_p`, which is replaced; `gain_verdict` becomes gain, loss or
    not distinguishable. Warns where with so few `resamples` no gain could be told from chance.
    """
    asked = [(row, gain) for row in rows for gain in GAINS if f"{gain}_p" in row]
    if 2 * len(asked) / (resamples + 1) >= LEVEL:
        _log.warning(
            "a table of %d gains: with %d resamples none could be told from chance; "
            "raise evaluate.resamples above %.0f",
            len(asked), resamples, 2 * len(asked) / LEVEL,
        )  # fmt: skip
    corrected = holm([row[f"{gain}_p"] for row, gain in asked])
    for (row, gain), p in zip(asked, corrected, strict=True):
        row[f"{gain}_p"] = p
        told = "gain" if row[gain] > 0 else "loss"
        row[f"{gain}_verdict"] = told if p < LEVEL else UNSURE
