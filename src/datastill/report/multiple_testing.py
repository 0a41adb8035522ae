"""Gains of a table: bootstrap p-values, corrected for all in one measure (Holm), and verdicts."""

import logging
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datastill.evaluation.bootstrap import ROUNDING, Matches, bootstrap, interval

LEVEL = 0.05
GAINS = ("gain", "control_gain")
MEASURES = {"": 1, "rmse_": -1}  # prefix of the columns of a measure's gains: sign of a better one
UNSURE = "not distinguishable"

_log = logging.getLogger(__name__)


def mean_resamples(seeds: Sequence[Matches], resamples: int) -> NDArray[np.float64]:
    """Return the AP of every resample, (resamples,), in percent, the mean over `seeds`.

    The same images are drawn for any `seeds`, so differences are paired.
    """
    return np.mean([bootstrap(each, resamples) for each in seeds], axis=0)


def gain_values(  # noqa: PLR0913  # a gain, what moves it, and its bounds
    name: str,
    gain: float,
    images: NDArray[np.float64],
    noise: NDArray[np.float64],
    families: int,
    *,
    highest: float = 100,
) -> dict[str, Any]:
    """Return a gain, its 95 % interval and its p-value.

    images   the gain in every resample of the validation images, (n,)
    noise    what other seeds would add to it, (n,)
    highest  of the measure: infinite for errors in pixels
    """
    low, high = noisy_interval(images, noise, families, difference=True, highest=highest)
    p = max(p_value(sample, families, highest) for sample in (images, images + noise))
    return {name: gain, f"{name}_low": low, f"{name}_high": high, f"{name}_p": p}


def noisy_interval(
    images: NDArray[np.float64],
    noise: NDArray[np.float64],
    families: int,
    *,
    difference: bool,
    highest: float = 100,
) -> tuple[float, float]:
    """Return the interval of a score, or a difference, over the images and the seeds.

    It holds that over the images alone, which is exact where all resamples agree.
    """
    lowest = -highest if difference else 0
    both = (images, np.clip(images + noise, lowest, highest))
    bounds = [interval(s, families, difference=difference, highest=highest) for s in both]
    return min(low for low, _ in bounds), max(high for _, high in bounds)


def p_value(differences: NDArray[np.float64], families: int, highest: float = 100) -> float:
    """Return the two-sided p-value of `differences` (n,) of resampled families against none.

    Twice the share on the rarer side of 0, including the measured value: never 0 (Davison and
    Hinkley, Bootstrap Methods and their Application, 4.2). NaN, a draw without truth, is left out.
    Where all agree, as those of one video do, it is at least that of `interval`'s exact bound.
    """
    defined = differences[~np.isnan(differences)]
    below, above = (defined <= 0).sum(), (defined >= 0).sum()
    p = 2 * (1 + min(below, above)) / (1 + len(defined))
    if np.ptp(defined) < ROUNDING:
        p = max(p, 2 * (1 - abs(defined[0]) / highest) ** families)
    return float(min(1.0, p))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values of one family, corrected (Holm 1979), in their order.

    Calling those below 0.05 a difference is wrong in at most 5 % of families.
    """
    ascending = sorted(range(len(p_values)), key=p_values.__getitem__)
    steps = (min(1.0, (len(p_values) - rank) * p_values[i]) for rank, i in enumerate(ascending))
    return [p for _, p in sorted(zip(ascending, accumulate(steps, max), strict=True))]


def add_verdicts(lines: Sequence[dict[str, Any]], resamples: int) -> None:
    """Correct the p-values `gain_p` of a table's lines for each other and add `gain_verdict`.

    A verdict is gain, loss or not distinguishable. The gains of each of MEASURES are corrected
    among themselves. Warns if no gain could be distinguished with so few `resamples`.
    """
    gains = max(_correct(lines, *measure) for measure in MEASURES.items())
    if 2 * gains / (resamples + 1) >= LEVEL:
        _log.warning(
            "a table of %d gains: with %d resamples none is distinguishable; "
            "raise evaluate.resamples above %.0f",
            gains, resamples, 2 * gains / LEVEL,
        )  # fmt: skip


def _correct(lines: Sequence[dict[str, Any]], prefix: str, better: int) -> int:
    """Correct the p-values of one measure, add its verdicts and return the number of its gains."""
    first, second = (f"{prefix}{gain}" for gain in GAINS)
    gains = [(line, gain) for line in lines for gain in (first, second) if f"{gain}_p" in line]
    gains = [(line, gain) for line, gain in gains if gain == first or not _is_repeated(line)]
    corrected = holm([line[f"{gain}_p"] for line, gain in gains])
    for (line, gain), p in zip(gains, corrected, strict=True):
        verdict = "gain" if better * line[gain] > 0 else "loss"
        p = round(p, 4)  # as the table has it
        line |= {f"{gain}_p": p, f"{gain}_verdict": verdict if p < LEVEL else UNSURE}
        if _is_repeated(line):
            line |= {f"{second}_{key}": line[f"{gain}_{key}"] for key in ("p", "verdict")}
    return len(gains)


def _is_repeated(line: Mapping[str, Any]) -> bool:
    """Return whether the control is what the line's gain is over: one gain in two columns."""
    return line.get("control") is not None and line.get("control") == line.get("over")
