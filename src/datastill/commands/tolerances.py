"""Tolerances of `accept` and `check --against`, from the seeds of a profile."""

import math
from collections.abc import Mapping
from typing import Any

from datastill.errors import DataError
from datastill.project.profile import DEFAULT_PROFILE, Profile, open_profile, params_path
from datastill.report.grouping import TrainedRow, Training, group_by_seed
from datastill.report.seed_variance import SeedVariance, seed_variance
from datastill.stages.tables import read_metrics


def seed_profile(profile: Profile, name: str | None) -> Profile:
    """Return the profile `name`, or else the one whose seeds set the tolerances of `profile`.

    That is the profile itself if its rows have several seeds, or the one that `run --seeds` made
    from it; for the miniature, `ablations`, whose seeds share their images as two runs of the
    miniature do. Raises DataError if there is none.
    """
    if name:
        return open_profile(name)
    params = profile.params
    if any(len(rows) > 1 for rows in _trainings(profile).values()):
        return profile
    of_miniature = ["ablations"] if params.profile == DEFAULT_PROFILE else []
    for other in [*of_miniature, f"{params.profile}-seeds"]:
        if params_path(other).is_file():
            return open_profile(other)
    raise DataError(
        f"{params.params_file}: no row was trained with two seeds, so its variation by chance is "
        f"unknown; run `datastill run {params.profile} --seeds 0,1,2`, or name a profile whose "
        "rows differ only in their seeds with --spread"
    )


def variance_of(profile: Profile, metric: str) -> SeedVariance:
    """Return the variance of `metric` between rows of a profile that differ only in their seeds.

    Raises DataError if no row was trained with two seeds, or one was not evaluated.
    """
    values = {
        training: [
            number(measured, row.row, metric)
            for row in rows
            if (measured := read_metrics(profile, row.row)).get(metric) is not None
        ]
        for training, rows in _trainings(profile).items()
    }
    variance = seed_variance(values)
    if not variance.degrees:
        raise DataError(
            f"{profile.results}: no row was trained with two seeds and measured by {metric}, so "
            "its variation by chance is unknown; name a profile that has such rows with --spread"
        )
    return variance


def number(metrics: Mapping[str, Any], row: str, metric: str) -> float:
    """Return a metric of `row`; raises DataError if it is not a finite number."""
    value = metrics.get(metric)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"row {row}: expected a number for {metric}, found {value!r}")
    return float(value)


def _trainings(profile: Profile) -> dict[Training, list[TrainedRow]]:
    rows = [
        TrainedRow.of(spec.model_dump(exclude_none=True), profile.params.original_set, row=row)
        for row, spec in profile.params.rows().items()
    ]
    return group_by_seed(rows, profile.params.members())
