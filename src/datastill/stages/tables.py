"""Stage `tables`: all results beside the paper's, as CSV, Markdown and a figure."""

from __future__ import annotations

import json
from pathlib import Path

from datastill.data.coco import Coco, read_coco, write_text
from datastill.data.subject import subject
from datastill.errors import DataError
from datastill.evaluate.intervals import match
from datastill.params import DistilledRow, Union
from datastill.report.blocks import update_block
from datastill.report.figures import table_figure
from datastill.report.paper import published
from datastill.report.tables import Result, table1, table4, to_csv
from datastill.report.text import to_markdown, to_text
from datastill.stages.place import Place

README = Path("README.md")
TABLES = {"table1": (table1, "table1_keypoints"), "table4": (table4, "table4_detection")}


def run(place: Place) -> str:
    """Write the profile's table, bring the README up to date with it, return it for the terminal.

    Every gain is paired over the images of val, so all rows must have been evaluated.
    """
    val = read_coco(place.image_set("val"))
    unions = {
        name: frozenset(spec.union)
        for name, spec in place.params.data.sets.items()
        if isinstance(spec, Union)
    }
    compare, paper = TABLES[place.params.table]
    table = compare(
        [_result(place, row, val) for row in place.params.rows()],
        unions,
        published(paper),
        resamples=place.params.evaluate.resamples,
    )
    markdown = to_markdown(table)
    name = place.results / place.params.table
    write_text(name.with_suffix(".csv"), to_csv(table))
    write_text(name.with_suffix(".md"), markdown)
    table_figure(table, name.with_suffix(".png"))
    if README.is_file():
        update_block(README, name.with_suffix(".md").as_posix(), markdown)
    return to_text(table)


def _result(place: Place, row: str, val: Coco) -> Result:
    spec = place.params.row(row)
    student = spec if isinstance(spec, DistilledRow) else None
    sigmas = subject(val, place.params.task).sigmas
    return Result(
        row=row,
        role="distilled" if student else "supervised",
        labelled=spec.labelled,
        unlabelled=student.unlabelled if student else None,
        teacher=student.teacher if student else None,
        backbone=spec.backbone,
        iterations=spec.iterations,
        seed=spec.seed,
        metrics=read_metrics(place, row),
        matches=match(val, _read(place.detections(row)), place.params.task, sigmas=sigmas),
    )


def read_metrics(place: Place, row: str) -> dict[str, float]:
    """Return what was measured of `row`; raises DataError where it was not evaluated."""
    metrics: dict[str, float] = _read(place.metrics(row))
    return metrics


def _read(path: Path):  # type: ignore[no-untyped-def]
    if not path.is_file():
        raise DataError(f"{path}: no such file; run `datastill evaluate {path.stem}` first")
    return json.loads(path.read_text())
