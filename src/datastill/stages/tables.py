"""Stage `tables`: all results beside the paper's, as CSV, Markdown and a figure."""

from __future__ import annotations

import json
from pathlib import Path

from datastill.data.coco import Coco, read_coco, write_text
from datastill.data.skeleton import skeleton_of
from datastill.errors import DataError
from datastill.evaluate.intervals import match
from datastill.params import DistilledRow, Union
from datastill.report.blocks import update_block
from datastill.report.figures import table1_figure
from datastill.report.paper import published
from datastill.report.tables import Result, table1, to_csv
from datastill.report.text import to_markdown, to_text
from datastill.stages.place import Place

README = Path("README.md")


def run(place: Place) -> str:
    """Write table 1, bring the README up to date with it and return it for the terminal.

    Every gain is paired over the images of val, so all rows must have been evaluated.
    """
    val = read_coco(place.image_set("val"))
    unions = {
        name: frozenset(spec.union)
        for name, spec in place.params.data.sets.items()
        if isinstance(spec, Union)
    }
    table = table1(
        [_result(place, row, val) for row in place.params.rows()],
        unions,
        published("table1_keypoints"),
        resamples=place.params.evaluate.resamples,
    )
    markdown = to_markdown(table)
    write_text(place.results / "table1.csv", to_csv(table))
    write_text(place.results / "table1.md", markdown)
    table1_figure(table, place.results / "table1.png")
    if README.is_file():
        update_block(README, (place.results / "table1.md").as_posix(), markdown)
    return to_text(table)


def _result(place: Place, row: str, val: Coco) -> Result:
    spec = place.params.row(row)
    student = spec if isinstance(spec, DistilledRow) else None
    sigmas = skeleton_of(val.categories).sigmas
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
