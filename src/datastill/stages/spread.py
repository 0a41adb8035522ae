"""How far does chance alone move a value? The spread over seeds, pooled over trainings."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datastill.errors import DataError
from datastill.params import SupervisedRow
from datastill.stages.place import Place
from datastill.stages.tables import read_metrics

# Two runs differ by chance with sd √2 times that of one; 3 of these, and luck alone seldom fails.
FACTOR = 3 * math.sqrt(2)


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
        return round(FACTOR * self.deviation, 2)


def spread(place: Place, metric: str) -> Spread:
    """Return the spread of `metric` over the rows of a profile that differ in their seed alone.

    Raises DataError where no training has two seeds, or a row was not evaluated.
    """
    seeds: dict[str, list[float]] = defaultdict(list)
    for row, spec in place.params.rows().items():
        seeds[_training(spec)].append(number(read_metrics(place, row), row, metric))
    several = {name: values for name, values in seeds.items() if len(values) > 1}
    degrees = sum(len(values) - 1 for values in several.values())
    if not degrees:
        raise DataError(
            f"{place.results}: no training has two seeds, so nothing says how far chance moves it; "
            "name a profile with --spread that has rows which differ in their seed alone"
        )
    squares = sum(_squares(values) for values in several.values())
    count = {name: len(values) for name, values in several.items()}
    return Spread(math.sqrt(squares / degrees), degrees, count)


def _training(spec: SupervisedRow) -> str:
    facts = spec.model_dump(exclude={"seed", "teacher"}, exclude_none=True)
    sets = "_".join(filter(None, (spec.labelled, facts.get("unlabelled"))))
    departs = (f", {name} {value}" for name, value in facts["ablation"].items())
    return f"{sets} {spec.backbone} {spec.iterations}{''.join(departs)}"


def number(metrics: Mapping[str, Any], row: str, metric: str) -> float:
    """Return a metric of `row`; raises DataError where it is none or no finite number."""
    value = metrics.get(metric)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"row {row}: expected a number for {metric}, found {value!r}")
    return float(value)


def _squares(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)
