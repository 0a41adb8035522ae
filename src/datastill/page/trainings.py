"""Losses, learning rates, and the time and memory that each training took."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from datastill.io import digest
from datastill.page.blocks import Chart, Group, Section, Table
from datastill.page.finished_run import FinishedRun, Setting, setting_groups
from datastill.page.svg_charts import curves
from datastill.training.metrics_log import read_metrics_log

_POINTS = 120  # of a curve: logged steps are averaged in as many groups


def trainings_section(run: FinishedRun) -> Section:
    """Return curves per setting and a table of all rows."""
    groups = setting_groups(run, lambda setting: _charts(run, setting))
    rows = [line for row in run.specs if (line := _line(run, row))]
    headings = ["row", "iterations", "minutes", "peak memory", "parameters", "precision"]
    headings += ["device", "threads"]
    note = (
        "Times are of the run that finished; a resumed one counts from its resumption. Memory is "
        "the peak of the largest process, known only where the row was trained in this folder."
    )
    table = Group("All rows", [Table(headings, rows, note)], open=len(rows) <= 12)
    intro = "Losses, learning rates, times and memory."
    return Section("trainings", "Training runs", intro, [*groups, table])


def _charts(run: FinishedRun, setting: Setting) -> Iterator[Chart]:
    logs = {
        role: read_metrics_log(run.files.model(row) / "journal.jsonl")
        for role, row in setting.roles.items()
    }
    logs = {role: log for role, log in logs.items() if log}
    for key, name in (("loss", "loss"), ("learning_rate", "learning rate")):
        series = {
            role: _averaged([line["step"] for line in log], [line[key] for line in log])
            for role, log in logs.items()
            if all(key in line for line in log)
        }
        if series:
            caption = f"{name.capitalize()} by iteration"
            top = max(max(values) for _, values in series.values())
            yield Chart(
                curves(f"{caption}, {setting.title}", series, "iteration", name, top),
                f"{caption}, means of neighbouring steps.",
            )


def _averaged(steps: list[float], values: list[float]) -> tuple[list[float], list[float]]:
    parts = min(_POINTS, len(steps))
    return tuple(  # type: ignore[return-value]
        [float(np.mean(part)) for part in np.array_split(np.asarray(each, dtype=float), parts)]
        for each in (steps, values)
    )


def _line(run: FinishedRun, row: str) -> list[Any] | None:
    card = run.read(run.files.model(row) / "card.json")
    if not card:
        return None
    seconds = card.get("seconds")
    return [
        (row, f"#origin-{row}"),
        f"{card['iterations']:,}",
        "-" if seconds is None else f"{seconds / 60:.1f}",
        _memory(run, row),
        f"{card['parameters']:,}",
        *(str(card[name]) for name in ("precision", "device", "threads")),
    ]


def _memory(run: FinishedRun, row: str) -> str:
    """Return the peak memory of the run that trained `row` here, a dash if it is not known."""
    usage = run.read(run.files.usage(row))
    if usage.get("card") != digest(run.files.model(row) / "card.json"):
        return "-"
    sizes = {"": usage["peak_bytes"], " on the GPU": usage.get("peak_gpu_bytes")}
    return ", ".join(f"{n / 1e9:.2f} GB{where}" for where, n in sizes.items() if n)
