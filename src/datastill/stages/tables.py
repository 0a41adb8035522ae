"""Stage `tables`: all results beside the paper's, as CSV, Markdown and a figure per table."""

from collections.abc import Mapping, Sequence
from typing import Any

from datastill.coco.format import Coco, Record, read_coco
from datastill.coco.metadata import build_metadata
from datastill.coco.results import read_results
from datastill.errors import DataError, ParamsError
from datastill.evaluation.bootstrap import match
from datastill.evaluation.pixel_errors import pixel_errors
from datastill.io import digest, write_text
from datastill.project.data_schema import Union
from datastill.project.profile import Profile
from datastill.project.records import read_facts
from datastill.project.schema import Params
from datastill.report.ablations import ablation_table
from datastill.report.grouping import Result, pool_seeds
from datastill.report.pages import describe_ap, to_markdown, to_text
from datastill.report.paper import numbers, published
from datastill.report.plots import draw_table
from datastill.report.render import to_csv
from datastill.report.seed_variance import BetweenSeeds, Sampling, SeedVariance
from datastill.report.tables import TABLES, comparison_table


def run(profile: Profile, name: str | None = None) -> str:
    """Write a table of the profile, or all, and return them as text.

    Every gain is paired over the images of val, so all rows must have been evaluated. Raises
    ParamsError if the profile has no such table.
    """
    path, known = profile.params.params_file, profile.params.tables
    if name is not None and name not in known:
        raise ParamsError(f"{path}: no table {name!r}; there are {', '.join(known)}")
    val = read_coco(profile.image_set("val"))
    sigmas = build_metadata(val, profile.params.task).sigmas
    notes = describe_ap(val, profile.params.task)
    results, names = _results(profile, val, sigmas), [name] if name else known
    return "\n".join(_write(profile, table, results, notes) for table in names)


def _write(profile: Profile, name: str, results: Sequence[Result], notes: Sequence[str]) -> str:
    """Write the table `name` as CSV, Markdown and a figure; return it for the terminal."""
    path, sampling = profile.results / name, _sampling(profile.params)
    if name in TABLES:
        paper, sets = numbers(published(TABLES[name][0])), profile.params.data.sets.items()
        unions = {key: frozenset(spec.union) for key, spec in sets if isinstance(spec, Union)}
        table = comparison_table(name, results, unions, paper, sampling)
    else:
        if name == "table3":  # not every seed needs to be tested through all views
            results = [r for r in results if r.all_views] or results
        table = ablation_table(name, pool_seeds(results, profile.params.members()), sampling)
    write_text(path.with_suffix(".csv"), to_csv(table))
    write_text(path.with_suffix(".md"), to_markdown(table, notes))
    draw_table(table, path.with_suffix(".png"))
    return to_text(table, notes)


def _sampling(params: Params) -> Sampling:
    borrowed = params.between_seeds
    if borrowed is None:
        return Sampling(params.evaluate.resamples)
    pair = (SeedVariance(**dict(part)) for part in (borrowed.ap, borrowed.gain))
    return Sampling(params.evaluate.resamples, BetweenSeeds(*pair))


def _results(profile: Profile, val: Coco, sigmas: Sequence[float] | None) -> list[Result]:
    """Return every row with its metrics and its detections matched with `val`.

    Raises DataError if a row was evaluated on another val.
    """
    task, measured_on = profile.params.task, digest(profile.image_set("val"))

    def detections(row: str, *, all_views: bool = False) -> list[Record]:
        path = profile.detections(row, all_views=all_views)
        advice = f"run `datastill evaluate {row}{profile.option}` again"
        return read_results(profile.require(path, "evaluate", row), advice)

    def result(row: str, spec: Mapping[str, Any]) -> Result:
        metrics, single_scale = read_metrics(profile, row), detections(row)
        if metrics.get("provenance", {}).get("val", measured_on) != measured_on:
            raise DataError(
                f"{row}: evaluated on another val; run `datastill evaluate {row}{profile.option}` "
                "again"
            )
        views = detections(row, all_views=True) if "with_views" in metrics else None
        return Result.of(
            spec,
            profile.params.original_set,
            row=row,
            metrics=metrics,
            matches=match(val, single_scale, task, sigmas=sigmas),
            errors=pixel_errors(val, single_scale, sigmas=sigmas) if "rmse" in metrics else None,
            all_views=None if views is None else match(val, views, task, sigmas=sigmas),
        )

    rows = profile.params.rows().items()
    return [result(row, spec.model_dump(exclude_none=True)) for row, spec in rows]


def read_metrics(profile: Profile, row: str) -> dict[str, Any]:
    """Return the metrics of `row`; raises DataError if it was not evaluated."""
    return read_facts(profile.require(profile.metrics(row), "evaluate", row))
