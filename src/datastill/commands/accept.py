"""Command `accept`: the current results as what `check` expects."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datastill.commands.tolerances import number, seed_profile, variance_of
from datastill.errors import DataError
from datastill.evaluation.regression import check_orders
from datastill.io import write_text
from datastill.project.loading import load_expected
from datastill.project.profile import Profile
from datastill.project.template import plain_yaml
from datastill.report.seed_variance import FACTOR, SeedVariance
from datastill.stages.tables import read_metrics

ORDERS = re.compile(r"^orders:.*?(?=^\w+:|\Z)", re.MULTILINE | re.DOTALL)


def run(profile: Profile, by: str | None = None) -> str:
    """Rewrite expected.yaml and return it: values as measured, tolerances from seeds.

    Tolerances are from the seeds of the profile `by`, by default the profile's own. Orders are
    written by hand: section `orders` stays as it is. Raises DataError if the results contradict
    one.
    """
    path = profile.results / "expected.yaml"
    metrics = {row: read_metrics(profile, row) for row in profile.params.rows()}
    names, orders, section = _kept(path)
    if wrong := [finding for finding in check_orders(orders, metrics) if not finding.ok]:
        listed = "\n  ".join(f"{finding.name}: found {finding.actual}" for finding in wrong)
        raise DataError(
            f"{path}: the results contradict its orders; nothing is written\n  {listed}\n"
            "  find out why, or remove the order from the file"
        )
    seeds = seed_profile(profile, by)
    variances = {name: variance_of(seeds, name) for name in names}
    values = {
        row: {
            name: {"value": number(measured, row, name), "tolerance": variance.tolerance}
            for name, variance in variances.items()
        }
        for row, measured in metrics.items()
    }
    header = _header(metrics, seeds.params.profile, variances)
    text = "\n".join([*header, plain_yaml({"values": values})]) + section
    write_text(path, text)
    return text


def _kept(path: Path) -> tuple[list[str], list[str], str]:
    """Return the expected metrics, the orders and, verbatim, their section."""
    if not path.is_file():
        return ["ap"], [], "orders: []\n"
    expected = load_expected(path)
    names = dict.fromkeys(name for values in expected.values.values() for name in values)
    section = ORDERS.search(path.read_text())
    return list(names) or ["ap"], expected.orders, section.group() if section else "orders: []\n"


def _header(
    metrics: Mapping[str, Mapping[str, Any]], seeds: str, variances: Mapping[str, SeedVariance]
) -> list[str]:
    commits = sorted({m["provenance"]["code"] for m in metrics.values() if "provenance" in m})
    first = next(iter(variances.values()))
    return [
        "# Written by `datastill accept`. Values: results measured by the code of",
        *(f"#   {commit}" for commit in commits),
        f"# Tolerances: 3 √2 = {FACTOR:.2f} times the sd of one run, as two runs differ by chance",
        f"# with √2 times that sd; it is pooled over the seeds of profile {seeds}:",
        *(f"#   {n}: {v.sd:.2f} with {v.degrees} degrees of freedom" for n, v in variances.items()),
        *(f"#   {training}: {count} seeds" for training, count in first.seeds.items()),
    ]
