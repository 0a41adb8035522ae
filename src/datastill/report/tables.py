"""Does distillation gain? The paper's tables 1 and 4 from our results, its numbers beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datastill.errors import DataError
from datastill.evaluation.bootstrap import Matches, average_precision, bootstrap, interval
from datastill.report.grouping import Comparison, Lines, Result, Training, gather, sections
from datastill.report.multiple_testing import UNSURE, judge, p_value
from datastill.report.paper import BOX_METRICS, METRICS, Numbers, numbers
from datastill.report.seed_variance import Chance, chance

__all__ = ["COLUMNS", "Result", "table1", "table4", "to_csv"]

WORDS = (
    "table", "role", "labelled", "unlabelled", "backbone", "gain_verdict", "control_gain_verdict",
)  # fmt: skip
COUNTS = ("iterations", "round", "seeds")


AREAS = ("ap_small", "ap_medium", "ap_large")


def columns(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a table of these metrics."""
    first, *others = metrics
    return (
        "table", "role", "labelled", "unlabelled", "backbone", "iterations", "seeds",
        first, "ap_low", "ap_high", "ap_sd", *others,
        "gain", "gain_low", "gain_high", "control_gain", "control_gain_low", "control_gain_high",
        "gain_verdict", "gap_closed",
        *(f"paper_{name}" for name in metrics), "paper_gain", "paper_gap_closed",
        "gain_p", "control_gain_p", "control_gain_verdict",
    )  # fmt: skip


COLUMNS = columns(METRICS)  # and "round" where a student has been a teacher

Row = dict[str, Any]  # some columns of a line


@dataclass(frozen=True)
class _Source:
    """Where the values of a line come from."""

    lines: Lines
    paper: Numbers
    resamples: int
    metrics: tuple[str, ...]

    @cached_property
    def chance(self) -> Chance:
        """What other seeds would do to the AP of these lines."""
        return chance(
            [result.metrics["ap"] for result in several] for several in self.lines.values()
        )


def table1(
    results: Sequence[Result],
    unions: Mapping[str, frozenset[str]],
    published: pd.DataFrame | None = None,
    *,
    paper_backbone: str = "resnet50",
    resamples: int = 1000,
) -> pd.DataFrame:
    """Compare distilled with supervised training, a section per setting (labelled, unlabelled).

    A line is the mean over the seeds of one training, in percent. Intervals (95 %) of AP are over
    the validation images; those of gains are paired over the images with the section's baseline
    and, where a training has several seeds, hold what other seeds would give. Gains are told from
    none by p-values, corrected for all gains of the table (Holm). The upper bound is supervised
    on the set that is labelled and unlabelled together by `unions` (name: its parts). `published`
    has the columns of "table1_keypoints"; the paper's `paper_backbone` stands beside a backbone
    that it does not have. What does not apply is NaN.
    Raises DataError where a setting has no baseline or a training comes twice with one seed.
    """
    paper = numbers(published, paper_backbone)
    return _table("1", unions, _Source(gather(results), paper, resamples, METRICS))


def table4(
    results: Sequence[Result],
    unions: Mapping[str, frozenset[str]],
    published: pd.DataFrame | None = None,
    *,
    paper_backbone: str = "resnet50",
    resamples: int = 1000,
) -> pd.DataFrame:
    """Compare as `table1` does, for boxes: with AP of small objects.

    `published` has the columns of "table4_detection".
    """
    paper = numbers(published, paper_backbone)
    return _table("4", unions, _Source(gather(results), paper, resamples, BOX_METRICS))


def _table(number: str, unions: Mapping[str, frozenset[str]], source: _Source) -> pd.DataFrame:
    rows = [
        {"table": f"{number}{chr(ord('a') + section)}", **row}
        for section, comparisons in enumerate(sections(source.lines, unions, source.paper))
        for comparison in comparisons
        for row in _rows(comparison, source)
    ]
    judge(rows, source.resamples)
    for row in rows:
        if row.get("gain_verdict") == UNSURE:
            row["gap_closed"] = None  # a gain that may be none closes nothing
    names = columns(source.metrics)
    if any(row["round"] > 1 for row in rows):
        names = (*names, "round")
    kinds = {name: float for name in names if name not in WORDS + COUNTS}
    return pd.DataFrame(rows, columns=list(names)).astype(kinds)


def to_csv(table: pd.DataFrame) -> str:
    """Return the table as CSV, numbers with two decimals and p-values with four: the same bytes
    for the same results.
    """
    names = table.select_dtypes("float").columns
    rounded = table.assign(**{name: table[name].round(2) + 0.0 for name in names})  # no -0.00
    for name in names[names.str.endswith("_p")]:
        rounded[name] = table[name].map("{:.4f}".format, na_action="ignore")
    return rounded.to_csv(index=False, float_format="%.2f", lineterminator="\n")


def _rows(comparison: Comparison, source: _Source) -> list[Row]:
    rows = []
    for role, training in comparison.roles():
        row = _described(role, training, source)
        if role != "control":  # the paper has none
            row |= _published(comparison, training, source)
        if role != "supervised":
            row |= _compared("gain", comparison.baseline, training, source)
        if role == "distilled":
            row |= _compared("control_gain", comparison.control_of(training), training, source)
        rows.append(row)
    _close_gap(rows, "ap", "gap_closed")
    _close_gap(rows, "paper_ap", "paper_gap_closed")
    return rows


def _described(role: str, training: Training, source: _Source) -> Row:
    results = source.lines[training]
    values = {name: [_metric(result, name) for result in results] for name in source.metrics}
    low, high = _interval(results, source.resamples)
    return {
        **training._asdict(),
        "role": role,
        "seeds": len(results),
        **{name: _mean(several) for name, several in values.items()},
        "ap_low": low,
        "ap_high": high,
        "ap_sd": float(np.std(values["ap"], ddof=1)) if len(results) > 1 else None,
    }


def _metric(result: Result, name: str) -> Any:
    if name not in result.metrics and name in AREAS:
        return None  # val has no truth of that size
    if name not in result.metrics:
        raise DataError(f"row {result.row}: expected {name} among its metrics, found none")
    return result.metrics[name]


def _mean(values: Sequence[float | None]) -> float | None:
    # a range of areas without truth has no AP, whatever the seed
    return None if None in values else float(np.mean(np.array(values, dtype=float)))


def _interval(results: Sequence[Result], resamples: int) -> tuple[float, float]:
    if len(results) == 1:
        low, high = _metric(results[0], "interval")
        return low, high
    return interval(_drawn([result.matches for result in results], resamples))


def _published(comparison: Comparison, training: Training, source: _Source) -> Row:
    values = source.paper.of(training.key)
    row: Row = {f"paper_{name}": value for name, value in values.items()}
    before = source.paper.of(comparison.baseline.key)
    if values and before and training != comparison.baseline:
        row["paper_gain"] = values["ap"] - before["ap"]
    return row


def _compared(name: str, before: Training | None, after: Training, source: _Source) -> Row:
    if before is None:
        return {}
    old, new = ([result.matches for result in source.lines[t]] for t in (before, after))
    differences = _drawn(new, source.resamples) - _drawn(old, source.resamples)
    differences += source.chance.of_difference(len(old), len(new), source.resamples)
    low, high = interval(differences)
    return {
        name: _mean_ap(new) - _mean_ap(old),
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_p": p_value(differences),
    }


def _mean_ap(several: Sequence[Matches]) -> float:
    return fmean(average_precision(each).ap for each in several)


def _drawn(several: Sequence[Matches], resamples: int) -> NDArray[np.float64]:
    """Return the mean AP over seeds of every resample: the same images for any `several`."""
    drawn: NDArray[np.float64] = np.mean([bootstrap(each, resamples) for each in several], axis=0)
    return drawn


def _close_gap(rows: list[Row], ap: str, name: str) -> None:
    """Write the share of upper bound minus baseline that distilled gains, in percent."""
    baseline, upper = rows[0].get(ap), rows[-1].get(ap)
    if rows[-1]["role"] != "upper bound" or baseline is None or upper is None or upper <= baseline:
        return
    if ap == "ap" and rows[-1]["gain_low"] <= 0:
        return  # a share of a gap that may be none says nothing
    for row in rows:
        if row["role"] == "distilled" and row.get(ap) is not None:
            row[name] = 100 * (row[ap] - baseline) / (upper - baseline)
