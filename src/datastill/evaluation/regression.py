"""Regression checks of results: values with tolerances, and orders between rows."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from datastill.errors import DataError

Metrics = Mapping[str, Mapping[str, Any]]  # row: metric: value
ROUNDING = 1e-9  # 30.1 is within 30 ± 0.1, despite binary fractions


class Expectation(Protocol):
    """A value and its tolerance, both ways."""

    value: float
    tolerance: float


@dataclass(frozen=True)
class Finding:
    """One check: its name, the expected and the actual in words, and whether they agree."""

    name: str
    expected: str
    actual: str
    ok: bool


def check_values(
    expected: Mapping[str, Mapping[str, Expectation]], metrics: Metrics
) -> list[Finding]:
    """Compare every expected value; a row or metric that is missing or not a number fails."""
    return [
        _check_value(row, metric, expectation, metrics)
        for row, expectations in expected.items()
        for metric, expectation in expectations.items()
    ]


def _check_value(row: str, metric: str, expectation: Expectation, metrics: Metrics) -> Finding:
    expected = f"{expectation.value:g} ± {expectation.tolerance:g}"
    value, ok = _number(metrics, row, metric), False
    if not isinstance(value, str):
        ok = abs(value - expectation.value) <= expectation.tolerance + ROUNDING
        value = f"{value:g}"
    return Finding(f"{row} {metric}", expected, value, ok)


def _number(metrics: Metrics, row: str, metric: str) -> float | str:
    """Return the finite number, or a text on why there is none."""
    if row not in metrics:
        return f"no row {row}"
    if metric not in metrics[row]:
        return f"no {metric} in row {row}"
    value = metrics[row][metric]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"{metric} of {row} is {value!r}"
    return value


def check_orders(orders: Sequence[str], metrics: Metrics, metric: str = "ap") -> list[Finding]:
    """Check chains such as "co-35 < co-35_co-80 < co-115" on `metric`; a missing row fails.

    Raises DataError on a chain that is not rows joined by < or >.
    """
    return [_check_order(order, metrics, metric) for order in orders]


def _check_order(order: str, metrics: Metrics, metric: str) -> Finding:
    parts = [part.strip() for part in re.split("([<>])", order)]
    rows, signs = parts[::2], parts[1::2]
    if not signs or not all(rows) or any(re.search(r"[\s=]", row) for row in rows):
        raise DataError(f"order {order!r}: expected rows joined by < or >, as 'co-35 < co-115'")
    values = [_number(metrics, row, metric) for row in rows]
    numbers = [value for value in values if not isinstance(value, str)]
    if missing := [value for value in values if isinstance(value, str)]:
        return Finding(order, f"{metric}: {order}", "; ".join(missing), ok=False)
    actual = ["<" if a < b else ">" if a > b else "=" for a, b in pairwise(numbers)]
    rest = (f" {sign} {number:g}" for sign, number in zip(actual, numbers[1:], strict=True))
    text = f"{numbers[0]:g}" + "".join(rest)
    return Finding(order, f"{metric}: {order}", text, ok=actual == signs)
