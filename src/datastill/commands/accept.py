"""Command `accept`: the present results become what `check` expects from now on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datastill.errors import DataError
from datastill.evaluation.regression import check_orders
from datastill.io import write_text
from datastill.project.loading import load_expected
from datastill.project.profile import Profile
from datastill.report.spread import FACTOR, Spread, number, seeded, spread
from datastill.stages.tables import read_metrics

ORDERS = re.compile(r"^orders:.*?(?=^\w+:|\Z)", re.MULTILINE | re.DOTALL)


def run(profile: Profile, by: str | None = None) -> str:
    """Write expected.yaml anew and return it: values as they are, tolerances from seeds.

    The profile `by` says how far chance moves a value, by default the profile's own seeds. Orders
    are a person's claims: section `orders` stays as it is. Raises DataError where the results
    contradict one.
    """
    path = profile.results / "expected.yaml"
    rows = list(profile.params.rows())
    metrics = {row: read_metrics(profile, row) for row in rows}
    names, orders, claims = _kept(path)
    wrong = [finding for finding in check_orders(orders, metrics) if not finding.ok]
    if wrong:
        told = "\n  ".join(f"{finding.name}: found {finding.found}" for finding in wrong)
        raise DataError(
            f"{path}: the results contradict what it claims; nothing is written\n  {told}\n"
            "  find out why, or take the claim out of the file"
        )
    of = seeded(profile, by)
    spreads = {name: spread(of, name) for name in names}
    text = _text(profile, metrics, (of.params.profile, spreads), claims)
    write_text(path, text)
    return text


def _kept(path: Path) -> tuple[list[str], list[str], str]:
    """Return the metrics that are expected, the orders and, as it is written, their section."""
    if not path.is_file():
        return ["ap"], [], "orders: []\n"
    expected = load_expected(path)
    names = dict.fromkeys(name for values in expected.values.values() for name in values)
    section = ORDERS.search(path.read_text())
    return list(names) or ["ap"], expected.orders, section.group() if section else "orders: []\n"


def _text(
    profile: Profile,
    metrics: Mapping[str, Mapping[str, Any]],
    by: tuple[str, Mapping[str, Spread]],
    claims: str,
) -> str:
    of, spreads = by
    commits = sorted({m["provenance"]["code"] for m in metrics.values() if "provenance" in m})
    lines = [
        "# Written by `datastill accept`. Values: results measured by the code of",
        *(f"#   {commit}" for commit in commits),
        f"# Tolerances: 3 √2 = {FACTOR:.2f} times the sd of one run, as two runs differ by chance",
        f"# with √2 times that sd; it is pooled over the seeds of profile {of}:",
    ]
    for name, found in spreads.items():
        lines.append(f"#   {name}: {found.deviation:.2f} with {found.degrees} degrees of freedom")
    first = next(iter(spreads.values()))
    lines += [f"#   {training}: {seeds} seeds" for training, seeds in first.trainings.items()]
    lines.append("values:")
    for row, measured in metrics.items():
        lines.append(f"  {row}:")
        for name, by_chance in spreads.items():
            lines += [f"    {name}:", f"      value: {number(measured, row, name)}"]
            lines.append(f"      tolerance: {by_chance.tolerance}")
    return "\n".join(lines) + "\n" + claims
