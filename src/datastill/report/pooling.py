"""Rows that differ in their seed alone are one training: a table shows the mean of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datastill.evaluation.bootstrap import bootstrap, interval
from datastill.report.grouping import Result, seed_twice
from datastill.report.paper import METRICS

Key = tuple[Any, ...]


def pooled(
    results: Sequence[Result], ensembles: Mapping[str, Sequence[str]] | None = None
) -> list[Result]:
    """Return one result per training, in order of appearance, with the mean of its metrics.

    It has the row name of its first seed, and so has its teacher; `seeds` holds what it is the mean
    of. Teachers that differ in their seed alone are one; `ensembles` names the rows that teachers
    which are no row themselves consist of. Raises DataError where one training comes twice with one
    seed.
    """
    rows = {result.row: result for result in results}
    members = ensembles or {}
    groups: dict[Key, list[Result]] = {}
    for result in results:
        group = groups.setdefault(_key(result, rows, members), [])
        _refuse_twins(group, result)
        group.append(result)
    names = {result.row: group[0].row for group in groups.values() for result in group}
    return [
        replace(
            group[0],
            teacher=names.get(group[0].teacher or "", group[0].teacher),
            metrics=_mean([result.metrics for result in group]),
            seeds=tuple(group),
        )
        for group in groups.values()
    ]


def _key(result: Result, rows: Mapping[str, Result], members: Mapping[str, Sequence[str]]) -> Key:
    """Return what the rows of one training have in common, down to their teachers' teachers."""
    teacher = result.teacher or ""
    line = members.get(teacher, [teacher])
    teachers = sorted(repr(_key(rows[t], rows, members)) if t in rows else t for t in line)
    return (
        result.role, result.labelled, result.unlabelled, result.backbone, result.iterations,
        repr(sorted(result.ablation.items())), *teachers,
    )  # fmt: skip


def _refuse_twins(group: Sequence[Result], result: Result) -> None:
    for twin in group:
        if (twin.seed, twin.teacher) == (result.seed, result.teacher):
            raise seed_twice(twin, result)


def _mean(several: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the metrics of one seed as they are, else the mean of those that all seeds have."""
    if len(several) == 1:
        return dict(several[0])
    shared = [name for name in METRICS if all(m.get(name) is not None for m in several)]
    mean: dict[str, Any] = {name: fmean(m[name] for m in several) for name in shared}
    if all("with_views" in metrics for metrics in several):
        views = [metrics["with_views"] for metrics in several]
        mean["with_views"] = {"views": views[0]["views"]} | _mean(views)
    return mean


def tested(result: Result, views: int) -> Mapping[str, Any]:
    """Return the metrics of `result` tested with so many views: one, or all."""
    metrics: Mapping[str, Any] = result.metrics["with_views"] if views > 1 else result.metrics
    return metrics


def drawn(result: Result, views: int, resamples: int) -> NDArray[np.float64]:
    """Return the AP of every resample, (resamples,), in percent, the mean over seeds.

    The same images are drawn for every result, so differences are paired.
    """
    several = [r.all_views if views > 1 else r.matches for r in result.seeds or (result,)]
    samples = [bootstrap(matches, resamples) for matches in several if matches]
    mean: NDArray[np.float64] = np.mean(samples, axis=0)
    return mean


def spread(result: Result, views: int, sample: NDArray[np.float64]) -> dict[str, Any]:
    """Return the interval of the mean over seeds by its `sample`, and their standard deviation."""
    low, high = interval(sample)
    several = [tested(seed, views)["ap"] for seed in result.seeds]
    return {"ap_low": low, "ap_high": high, "ap_sd": stdev(several)}
