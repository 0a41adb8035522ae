"""How far does chance alone move a value? The spread over seeds, pooled over trainings."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datastill.errors import DataError
from datastill.project.profile import DEFAULT_PROFILE, Profile, open_profile, params_path
from datastill.project.rows import DistilledRow
from datastill.project.schema import Params
from datastill.report.seed_variance import chance
from datastill.stages.tables import read_metrics

# Two runs differ by chance with sd √2 times that of one; 3 of these, and luck alone seldom fails.
FACTOR = 3 * math.sqrt(2)
LEAST = 0.01  # a tolerance: metrics have two decimals


@dataclass(frozen=True)
class Spread:
    """The pooled standard deviation of a metric over seeds, in its units.

    degrees    of freedom: how many results it rests on, less one for every training
    trainings  by name, how many seeds each has
    """

    deviation: float
    degrees: int
    trainings: Mapping[str, int]

    @property
    def tolerance(self) -> float:
        """How far two runs may differ before it is more than chance, with two decimals."""
        return max(LEAST, round(FACTOR * self.deviation, 2))


def seeded(profile: Profile, name: str | None) -> Profile:
    """Return the profile `name`, or else the one whose seeds tell how chance moves this one.

    That is the profile itself where its rows have several seeds, or the one that `run --seeds` made
    of it; for the miniature, `seeds`. Raises DataError where there is none.
    """
    if name:
        return open_profile(name)
    params = profile.params
    if any(len(rows) > 1 for rows in _trainings(params).values()):
        return profile
    made = [f"{params.profile}-seeds"]
    for other in ["seeds", *made] if params.profile == DEFAULT_PROFILE else made:
        if params_path(other).is_file():
            return open_profile(other)
    raise DataError(
        f"{params.params_file}: no training has two seeds, so nothing says how far chance moves "
        f"it; run `datastill run {params.profile} --seeds 0,1,2`, or name with --spread a profile "
        "that has rows which differ in their seed alone"
    )


def spread(profile: Profile, metric: str) -> Spread:
    """Return the spread of `metric` over the rows of a profile that differ in their seed alone.

    Raises DataError where no training has two seeds with that metric, or a row was not evaluated.
    """
    values = {
        name: [number(measured, row, metric) for row, measured in several if metric in measured]
        for name, several in _measured(profile).items()
    }
    found = chance(values.values())
    if not found.degrees:
        raise DataError(
            f"{profile.results}: no training has two seeds with {metric}, so nothing says how far "
            "chance moves it; name with --spread a profile that has"
        )
    count = {name: len(several) for name, several in values.items() if len(several) > 1}
    return Spread(found.deviation, found.degrees, count)


def _measured(profile: Profile) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Return the metrics of all rows that have a value, by training."""
    return {
        name: [(row, _valued(read_metrics(profile, row))) for row in rows]
        for name, rows in _trainings(profile.params).items()
    }


def _valued(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if value is not None}


def _trainings(params: Params) -> dict[str, list[str]]:
    """Return rows that differ, down to their teachers, in their seed alone: by what they share."""
    trainings: dict[str, list[str]] = defaultdict(list)
    for row in params.rows():
        trainings[_training(params, row)].append(row)
    return trainings


def _training(params: Params, row: str) -> str:
    if row in params.ensembles:
        members = params.ensembles[row].model_dump().values()
        return " and ".join(sorted(_training(params, member) for member in members))
    spec = params.row(row)
    facts = spec.model_dump(exclude_none=True)
    sets = "_".join(filter(None, (spec.labelled, facts.get("unlabelled"))))
    departs = "".join(f", {name} {value}" for name, value in facts["ablation"].items())
    teacher = f" of {_training(params, spec.teacher)}" if isinstance(spec, DistilledRow) else ""
    return f"{sets} {spec.backbone} {spec.iterations}{departs}{teacher}"


def number(metrics: Mapping[str, Any], row: str, metric: str) -> float:
    """Return a metric of `row`; raises DataError where it is none or no finite number."""
    value = metrics.get(metric)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"row {row}: expected a number for {metric}, found {value!r}")
    return float(value)
