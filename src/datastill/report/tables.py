"""Tables 1 and 4: gains of distillation over supervised training, beside the paper's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from datastill.errors import DataError
from datastill.evaluation.bootstrap import interval
from datastill.evaluation.pixel_errors import NAMES
from datastill.report.grouping import Comparison, Result, Training, group_by_line, sections
from datastill.report.multiple_testing import UNSURE, add_verdicts
from datastill.report.paper import BOX_METRICS, METRICS, Numbers, numbers
from datastill.report.render import frame
from datastill.report.scores import AP, RMSE, Scores, Values, build_scores
from datastill.report.seed_variance import OWN, Sampling

TABLES = {  # the paper's numbers, as `published` names them, and the metrics
    "table1": ("table1_keypoints", METRICS),
    "table4": ("table4_detection", BOX_METRICS),
}

PIXELS = ("rmse", "rmse_low", "rmse_high", "rmse_sd", "median", "pck05", "pck10", "detected")
PIXEL_GAINS = tuple(
    f"rmse_{gain}{part}"
    for gain in ("gain", "control_gain")
    for part in ("", "_low", "_high", "_p", "_verdict")
)
GAP = ("gap_closed", "gap_closed_low", "gap_closed_high")


def columns(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the CSV; and "round" if a student has been a teacher."""
    return (
        "table", "role", "labelled", "unlabelled", "backbone", "iterations", "seeds",
        "ap", "ap_low", "ap_high", "ap_sd", *metrics[1:],
        *(PIXELS if metrics == METRICS else ()),
        "gain", "gain_low", "gain_high", "control_gain", "control_gain_low", "control_gain_high",
        "gain_verdict", "gap_closed", "gap_closed_low", "gap_closed_high",
        *(f"paper_{name}" for name in metrics), "paper_gain", "paper_gap_closed",
        "gain_p", "control_gain_p", "control_gain_verdict",
        *(PIXEL_GAINS if metrics == METRICS else ()),
        "seed_sd", "seed_degrees", "seed_gain_sd", "seed_gain_degrees",
    )  # fmt: skip


@dataclass(frozen=True)
class _Source:
    paper: Numbers
    metrics: tuple[str, ...]
    ap: Scores
    rmse: Scores


def comparison_table(
    name: str,
    results: Sequence[Result],
    unions: Mapping[str, frozenset[str]],
    paper: Numbers | None = None,
    sampling: Sampling = OWN,
) -> pd.DataFrame:
    """Return the table `name` of TABLES, a section per setting (labelled, unlabelled set).

    A line is the mean over the seeds of one training run, in percent. Intervals (95 %) cover the
    sampling of validation images and of seeds; gains are paired over both with the
    section's baseline. The variance between seeds is that of this table or, where its training
    runs do not give it, borrowed: that of AP, none of RMSE. Verdicts follow p-values corrected for
    all gains in AP, or in RMSE, of the table (Holm). A result without pixel errors leaves their
    cells blank. The upper bound is supervised on the true labels of both sets, by `unions` (name:
    its parts); `gap_closed` is the share of its gain that the student reaches, if all three are
    trained equally long. Values that do not apply are NaN.
    Raises DataError if a setting has no baseline or a training run has one seed twice.
    """
    metrics, by_line = TABLES[name][1], group_by_line(results)
    paper = paper or numbers(None)
    compared = sections(by_line, unions, paper)
    ap = build_scores(by_line, compared, AP, sampling)
    rmse = build_scores(by_line, compared, RMSE, Sampling(sampling.resamples))
    source = _Source(paper, metrics, ap, rmse)
    lines = [
        {"table": f"{name.removeprefix('table')}{chr(ord('a') + section)}", **line}
        | ap.between_seeds.columns()
        for section, comparisons in enumerate(compared)
        for comparison in comparisons
        for line in _lines(comparison, source)
    ]
    add_verdicts(lines, sampling.resamples)
    for line in lines:
        if line.get("gain_verdict") == UNSURE:
            line |= dict.fromkeys(GAP, None)  # an indistinguishable gain closes nothing
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
            line |= _gains("gain", baseline, run, source)
        if role == "distilled" and run.iterations in controls:
            line |= _gains("control_gain", controls[run.iterations], run, source)
        lines.append(line)
    _close_gap(comparison, lines, source)
    return lines


def _measured(role: str, run: Training, source: _Source) -> Values:
    results = source.ap.results[run]
    values = {name: [_metric(result, name) for result in results] for name in source.metrics}
    values |= {name: [result.metrics.get(name) for result in results] for name in NAMES}
    return {
        **run._asdict(),
        "role": role,
        "seeds": len(results),
        **{name: _mean(seeds) for name, seeds in values.items()},
        **source.ap.columns(run),
        **source.rmse.columns(run),
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


def _gains(name: str, before: Training, after: Training, source: _Source) -> Values:
    of_rmse = source.rmse.gain_columns(f"rmse_{name}", before, after)
    return source.ap.gain_columns(name, before, after) | of_rmse


def _close_gap(comparison: Comparison, lines: list[Values], source: _Source) -> None:
    """Add the share of the upper bound's gain that the student reaches, in percent.

    Ours only if both and their baseline train for as many iterations and the gap is above 0;
    the paper's compares a student of 360,000 iterations with an upper bound of 130,000.
    """
    (role, upper), before = comparison[-1], ("supervised", "control")
    if role != "upper bound":
        return
    alike = [r for role, r in comparison if role in before and r.iterations == upper.iterations]
    base = next(iter(alike), None)
    for (role, run), line in zip(comparison, lines, strict=True):
        if role == "distilled" and "paper_gain" in line and "paper_gain" in lines[-1]:
            line["paper_gap_closed"] = 100 * line["paper_gain"] / lines[-1]["paper_gain"]
        if role == "distilled" and base and run.iterations == upper.iterations:
            line |= _share(base, run, upper, source)


def _share(base: Training, run: Training, upper: Training, source: _Source) -> Values:
    """Return the share of the gain of `upper` over `base` that `run` reaches, {} if it has none.

    The seeds of each of the three move it on their own.
    """
    scores, runs = source.ap, (base, run, upper)
    seeds = [len(scores.results[each]) for each in runs]
    sd = [scores.between_seeds.gain.of_mean(n, scores.resamples, i) for i, n in enumerate(seeds)]
    of_base, of_run, of_upper = (noise / math.sqrt(2) for noise in sd)
    gap = scores.differences(base, upper) + of_upper - of_base
    if interval(gap, scores.families, difference=True)[0] <= 0:
        return {}
    shares = 100 * (scores.differences(base, run) + of_run - of_base) / np.where(gap > 0, gap, nan)
    closed = 100 * scores.gain(base, run) / scores.gain(base, upper)
    return dict(zip(GAP, (closed, *interval(shares, scores.families)), strict=True))
