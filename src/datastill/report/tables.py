"""Tables 1 and 4: gains of distillation over supervised training, beside the paper's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datastill.errors import DataError
from datastill.evaluation.bootstrap import average_precision, interval
from datastill.report.grouping import Comparison, Result, Results, Training, group_by_line, sections
from datastill.report.multiple_testing import (
    UNSURE,
    add_verdicts,
    gain_values,
    mean_resamples,
    noisy_interval,
)
from datastill.report.paper import BOX_METRICS, METRICS, Numbers, numbers
from datastill.report.render import frame
from datastill.report.seed_variance import OWN, BetweenSeeds, Sampling, gain_variance, seed_variance

TABLES = {  # the paper's numbers, as `published` names them, and the metrics
    "table1": ("table1_keypoints", METRICS),
    "table4": ("table4_detection", BOX_METRICS),
}

GAP = ("gap_closed", "gap_closed_low", "gap_closed_high")

Values = dict[str, Any]  # some columns of a line


def columns(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the CSV; and "round" if a student has been a teacher."""
    return (
        "table", "role", "labelled", "unlabelled", "backbone", "iterations", "seeds",
        "ap", "ap_low", "ap_high", "ap_sd", *metrics[1:],
        "gain", "gain_low", "gain_high", "control_gain", "control_gain_low", "control_gain_high",
        "gain_verdict", "gap_closed", "gap_closed_low", "gap_closed_high",
        *(f"paper_{name}" for name in metrics), "paper_gain", "paper_gap_closed",
        "gain_p", "control_gain_p", "control_gain_verdict",
        "seed_sd", "seed_degrees", "seed_gain_sd", "seed_gain_degrees",
    )  # fmt: skip


@dataclass(frozen=True)
class _Source:
    results: Results
    paper: Numbers
    resamples: int
    metrics: tuple[str, ...]
    between_seeds: BetweenSeeds  # pooled over all lines, and over all gains
    samples: dict[int, NDArray[np.float64]] = field(default_factory=dict)  # by id of result

    def resampled(self, run: Training) -> NDArray[np.float64]:
        """Return the AP of every resample of the images, the mean over the seeds of `run`."""
        return self._mean_sample(self.results[run])

    def _mean_sample(self, seeds: Sequence[Result]) -> NDArray[np.float64]:
        for result in seeds:
            if id(result) not in self.samples:
                self.samples[id(result)] = mean_resamples([result.matches], self.resamples)
        return np.mean([self.samples[id(result)] for result in seeds], axis=0)

    @property
    def families(self) -> int:
        """The number of families of validation images, the same for all results."""
        return next(iter(self.results.values()))[0].matches.families

    def pair(self, before: Training, after: Training) -> tuple[list[Result], list[Result]]:
        """Return the results of the seeds that both have or, if none, of all."""
        old, new = self.results[before], self.results[after]
        shared = {result.seed for result in old} & {result.seed for result in new}
        kept = [[r for r in side if r.seed in shared or not shared] for side in (old, new)]
        return kept[0], kept[1]

    def gain(self, before: Training, after: Training) -> float:
        """Return the gain in mean AP, unrounded."""
        low, high = (
            fmean(average_precision(result.matches).ap for result in side)
            for side in self.pair(before, after)
        )
        return high - low

    def differences(self, before: Training, after: Training) -> NDArray[np.float64]:
        """Return the gain of `after` in every resample of the images, (resamples,)."""
        old, new = map(self._mean_sample, self.pair(before, after))
        return new - old

    def noise(self, before: Training, after: Training) -> NDArray[np.float64]:
        """Return what other seeds would add to the gain of `after`, (resamples,)."""
        seeds = min(map(len, self.pair(before, after)))
        return self.between_seeds.gain.of_mean(seeds, self.resamples)


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
    runs do not give it, borrowed. Verdicts follow p-values corrected for all gains of the table
    (Holm). The upper bound is supervised on the true labels of both sets, by `unions` (name: its
    parts); `gap_closed` is the share of its gain that the student reaches, if all three are
    trained equally long. Values that do not apply are NaN.
    Raises DataError if a setting has no baseline or a training run has one seed twice.
    """
    metrics, by_line = TABLES[name][1], group_by_line(results)
    paper = paper or numbers(None)
    compared = sections(by_line, unions, paper)
    between_seeds = _between_seeds(by_line, compared).or_borrowed(sampling.borrowed)
    source = _Source(by_line, paper, sampling.resamples, metrics, between_seeds)
    lines = [
        {"table": f"{name.removeprefix('table')}{chr(ord('a') + section)}", **line}
        | between_seeds.columns()
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


def _between_seeds(results: Results, compared: list[list[Comparison]]) -> BetweenSeeds:
    """Return the variance of the AP of all training runs, and of gains over the same baseline."""
    by_seed = {run: {r.seed: float(r.metrics["ap"]) for r in results[run]} for run in results}
    groups: dict[Training, dict[Training, Mapping[int, float]]] = {}
    for comparison in (comparison for section in compared for comparison in section):
        group = groups.setdefault(comparison[0][1], {})
        group |= {run: by_seed[run] for _, run in comparison}
    ap = seed_variance({run: [*seeds.values()] for run, seeds in by_seed.items()})
    return BetweenSeeds(ap, gain_variance([*group.values()] for group in groups.values()))


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
    _close_gap(comparison, lines, source)
    return lines


def _measured(role: str, run: Training, source: _Source) -> Values:
    results = source.results[run]
    values = {name: [_metric(result, name) for result in results] for name in source.metrics}
    noise = source.between_seeds.ap.of_mean(len(results), source.resamples)
    low, high = noisy_interval(source.resampled(run), noise, source.families, difference=False)
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
    differences, noise = source.differences(before, after), source.noise(before, after)
    return gain_values(name, source.gain(before, after), differences, noise, source.families)


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
    seeds = [len(source.results[each]) for each in (base, run, upper)]
    sd = [source.between_seeds.gain.of_mean(n, source.resamples, i) for i, n in enumerate(seeds)]
    of_base, of_run, of_upper = (noise / math.sqrt(2) for noise in sd)
    gap = source.differences(base, upper) + of_upper - of_base
    if interval(gap, source.families, difference=True)[0] <= 0:
        return {}
    shares = 100 * (source.differences(base, run) + of_run - of_base) / np.where(gap > 0, gap, nan)
    closed = 100 * source.gain(base, run) / source.gain(base, upper)
    return dict(zip(GAP, (closed, *interval(shares, source.families)), strict=True))
