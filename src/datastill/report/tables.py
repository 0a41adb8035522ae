"""Tables 1 and 4: gains of distillation over supervised training, beside the paper's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from datastill.errors import DataError
from datastill.evaluation.bootstrap import average_precision, interval
from datastill.report.grouping import Comparison, Result, Results, Training, group_by_line, sections
from datastill.report.multiple_testing import UNSURE, add_verdicts, gain_values, mean_resamples
from datastill.report.paper import BOX_METRICS, METRICS, Numbers, numbers
from datastill.report.render import frame
from datastill.report.seed_variance import SeedVariance, seed_variance

TABLES = {  # the paper's numbers, as `published` names them, and the metrics
    "table1": ("table1_keypoints", METRICS),
    "table4": ("table4_detection", BOX_METRICS),
}

Values = dict[str, Any]  # some columns of a line


def columns(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the CSV; and "round" if a student has been a teacher."""
    return (
        "table", "role", "labelled", "unlabelled", "backbone", "iterations", "seeds",
        "ap", "ap_low", "ap_high", "ap_sd", *metrics[1:],
        "gain", "gain_low", "gain_high", "control_gain", "control_gain_low", "control_gain_high",
        "gain_verdict", "gap_closed",
        *(f"paper_{name}" for name in metrics), "paper_gain", "paper_gap_closed",
        "gain_p", "control_gain_p", "control_gain_verdict",
    )  # fmt: skip


@dataclass(frozen=True)
class _Source:
    results: Results
    paper: Numbers
    resamples: int
    metrics: tuple[str, ...]
    between_seeds: SeedVariance  # of AP, pooled over all lines


def comparison_table(
    name: str,
    results: Sequence[Result],
    unions: Mapping[str, frozenset[str]],
    paper: Numbers | None = None,
    resamples: int = 1000,
) -> pd.DataFrame:
    """Return the table `name` of TABLES, a section per setting (labelled, unlabelled set).

    A line is the mean over the seeds of one training run, in percent. Intervals (95 %) of AP are
    over the validation images; those of gains are paired over the images with the section's
    baseline and, if a training run has several seeds, include the variance between seeds.
    Verdicts follow p-values corrected for all gains of the table (Holm). The upper bound is
    supervised on the union of the labelled and the unlabelled set, by `unions` (name: its parts).
    Values that do not apply are NaN.
    Raises DataError if a setting has no baseline or a training run has one seed twice.
    """
    metrics, by_line = TABLES[name][1], group_by_line(results)
    between_seeds = seed_variance({t: [r.metrics["ap"] for r in by_line[t]] for t in by_line})
    source = _Source(by_line, paper or numbers(None), resamples, metrics, between_seeds)
    lines = [
        {"table": f"{name.removeprefix('table')}{chr(ord('a') + section)}", **line}
        for section, comparisons in enumerate(sections(source.results, unions, source.paper))
        for comparison in comparisons
        for line in _lines(comparison, source)
    ]
    add_verdicts(lines, resamples)
    for line in lines:
        if line.get("gain_verdict") == UNSURE:
            line["gap_closed"] = None  # an indistinguishable gain closes nothing
    rounds = ["round"] if any(line["round"] > 1 for line in lines) else []
    return frame(lines, [*columns(metrics), *rounds])


def _lines(comparison: Comparison, source: _Source) -> list[Values]:
    lines, baseline = [], comparison[0][1]
    controls = {run.iterations: run for role, run in comparison if role == "control"}
    for role, run in comparison:
        line = _measured(role, run, source)
        if role != "control":  # the paper has none
            line |= _published(baseline, run, source)
        if role != "supervised":
            line |= _gain("gain", baseline, run, source)
        if role == "distilled" and run.iterations in controls:
            line |= _gain("control_gain", controls[run.iterations], run, source)
        lines.append(line)
    _close_gap(lines, "ap", "gap_closed")
    _close_gap(lines, "paper_ap", "paper_gap_closed")
    return lines


def _measured(role: str, run: Training, source: _Source) -> Values:
    results = source.results[run]
    values = {name: [_metric(result, name) for result in results] for name in source.metrics}
    if len(results) == 1:
        low, high = _metric(results[0], "interval")
    else:
        samples = mean_resamples([r.matches for r in results], source.resamples)
        low, high = interval(samples, results[0].matches.families)
    return {
        **run._asdict(),
        "role": role,
        "seeds": len(results),
        **{name: _mean(seeds) for name, seeds in values.items()},
        "ap_low": low,
        "ap_high": high,
        "ap_sd": float(np.std(values["ap"], ddof=1)) if len(results) > 1 else None,
    }


def _metric(result: Result, name: str) -> Any:
    if name not in result.metrics and name not in ("ap_small", "ap_medium", "ap_large"):
        raise DataError(f"row {result.row}: expected {name} among its metrics, found none")
    return result.metrics.get(name)  # None if val has no truth of that size


def _mean(values: Sequence[float | None]) -> float | None:
    # a range of areas without truth has no AP for any seed
    return None if None in values else float(np.mean(np.array(values, dtype=float)))


def _published(baseline: Training, run: Training, source: _Source) -> Values:
    metrics, before = source.paper.of(run.key), source.paper.of(baseline.key)
    values: Values = {f"paper_{name}": value for name, value in metrics.items()}
    if metrics and before and run != baseline:
        values["paper_gain"] = metrics["ap"] - before["ap"]
    return values


def _gain(name: str, before: Training, after: Training, source: _Source) -> Values:
    old, new = ([result.matches for result in source.results[run]] for run in (before, after))
    differences = mean_resamples(new, source.resamples) - mean_resamples(old, source.resamples)
    differences += source.between_seeds.of_difference(len(old), len(new), source.resamples)
    before_ap, after_ap = (fmean(average_precision(m).ap for m in side) for side in (old, new))
    return gain_values(name, after_ap - before_ap, differences, old[0].families)


def _close_gap(lines: list[Values], ap: str, name: str) -> None:
    """Add the share of upper bound minus baseline that distilled gains, in percent."""
    baseline, upper = lines[0].get(ap), lines[-1].get(ap)
    if lines[-1]["role"] != "upper bound" or baseline is None or upper is None or upper <= baseline:
        return
    if ap == "ap" and lines[-1]["gain_low"] <= 0:
        return  # a share of an indistinguishable gap is meaningless
    for line in lines:
        if line["role"] == "distilled" and line.get(ap) is not None:
            line[name] = 100 * (line[ap] - baseline) / (upper - baseline)
