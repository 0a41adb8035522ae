"""Stage `tables`: all results beside the paper's, each table as CSV, Markdown and a figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from datastill.coco.format import Coco, read_coco
from datastill.coco.metadata import build_metadata
from datastill.errors import DataError, ParamsError
from datastill.evaluation.bootstrap import Matches, match
from datastill.io import write_text
from datastill.project.data_schema import Union
from datastill.project.profile import Profile, read_facts
from datastill.project.rows import DistilledRow
from datastill.report.ablation_text import ablation_markdown, ablation_text
from datastill.report.ablations import ablation_table
from datastill.report.curves import ablation_figure
from datastill.report.paper import published
from datastill.report.plots import table_figure
from datastill.report.pooling import pooled
from datastill.report.readme_blocks import update_block
from datastill.report.render import to_markdown, to_text
from datastill.report.tables import Result, table1, table4, to_csv

README = Path("README.md")
TABLES = {"table1": (table1, "table1_keypoints"), "table4": (table4, "table4_detection")}


def run(profile: Profile, name: str | None = None) -> str:
    """Write a table of the profile, or all; bring the README up to date, return them as text.

    Every gain is paired over the images of val, so all rows must have been evaluated. Raises
    ParamsError where the profile has no such table.
    """
    known = profile.params.tables
    if name is not None and name not in known:
        raise ParamsError(
            f"{profile.params.params_file}: no table {name!r}; there are {', '.join(known)}"
        )
    val = read_coco(profile.image_set("val"))
    results = [_result(profile, row, val) for row in profile.params.rows()]
    return "\n".join(_written(profile, table, results) for table in ([name] if name else known))


def _written(profile: Profile, name: str, results: Sequence[Result]) -> str:
    """Write the table `name` as CSV, Markdown and a figure; return it for the terminal."""
    path, resamples = profile.results / name, profile.params.evaluate.resamples
    if name in TABLES:
        compare, paper = TABLES[name]
        table = compare(results, _unions(profile), published(paper), resamples=resamples)
        draw, markdown, text = table_figure, to_markdown(table), to_text(table)
    else:
        ensembles = {e: [*m.model_dump().values()] for e, m in profile.params.ensembles.items()}
        table = ablation_table(name, pooled(results, ensembles), resamples)
        draw, markdown, text = ablation_figure, ablation_markdown(table), ablation_text(table)
    write_text(path.with_suffix(".csv"), to_csv(table))
    write_text(path.with_suffix(".md"), markdown)
    draw(table, path.with_suffix(".png"))
    if README.is_file():
        update_block(README, path.with_suffix(".md").as_posix(), markdown)
    return text


def _unions(profile: Profile) -> dict[str, frozenset[str]]:
    sets = profile.params.data.sets.items()
    return {name: frozenset(spec.union) for name, spec in sets if isinstance(spec, Union)}


def _result(profile: Profile, row: str, val: Coco) -> Result:
    spec = profile.params.row(row)
    student = spec if isinstance(spec, DistilledRow) else None
    metrics = read_metrics(profile, row)
    return Result(
        row=row,
        role="distilled" if student else "supervised",
        labelled=spec.labelled,
        unlabelled=student.unlabelled if student else None,
        teacher=student.teacher if student else None,
        backbone=spec.backbone,
        iterations=spec.iterations,
        seed=spec.seed,
        metrics=metrics,
        matches=_matches(profile, row, val),
        ablation=spec.ablation.model_dump(exclude_none=True),
        all_views=_matches(profile, row, val, all_views=True) if "with_views" in metrics else None,
    )


def _matches(profile: Profile, row: str, val: Coco, *, all_views: bool = False) -> Matches:
    sigmas = build_metadata(val, profile.params.task).sigmas
    path = profile.detections(row, all_views=all_views)
    detections = json.loads(_evaluated(profile, path, row).read_text())
    return match(val, detections, profile.params.task, sigmas=sigmas)


def read_metrics(profile: Profile, row: str) -> dict[str, float]:
    """Return what was measured of `row`; raises DataError where it was not evaluated."""
    return read_facts(_evaluated(profile, profile.metrics(row), row))


def _evaluated(profile: Profile, path: Path, row: str) -> Path:
    if not path.is_file():
        command = f"datastill evaluate {row}{profile.option}"
        raise DataError(f"{path}: no such file; run `{command}` first")
    return path
