"""The page, rendered from its sections: one HTML file without references to others."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from datastill.errors import WRONG_VALUES, DataError
from datastill.io import write_text
from datastill.page.blocks import Chart, Section, printable
from datastill.page.doubtful_labels import labels_section
from datastill.page.error_section import error_section
from datastill.page.finished_run import FinishedRun
from datastill.page.generated import generated_section
from datastill.page.left_out import left_out_section
from datastill.page.measures import measures_section
from datastill.page.origins import origins_section
from datastill.page.set_drift import drift_section
from datastill.page.side_by_side import side_by_side_section
from datastill.page.trainings import trainings_section
from datastill.page.verdict import verdict_section

SECTIONS = (
    verdict_section, side_by_side_section, measures_section, error_section, generated_section,
    labels_section, drift_section, left_out_section, trainings_section, origins_section,
)  # fmt: skip


def write_report(run: FinishedRun, path: Path) -> None:
    """Write the page of `run` to `path`."""
    write_text(path, render(run.name, _sections(run)))


def _sections(run: FinishedRun) -> Iterator[Section]:
    for build in SECTIONS:
        try:
            section = build(run)
        except WRONG_VALUES as error:
            reason = f"{type(error).__name__}: {printable(str(error))[:200]}"
            raise DataError(
                f"{build.__name__.replace('_', ' ')} of the report: expected the records of "
                f"stages, found others ({reason}); `datastill run {run.name}` writes them again"
            ) from error
        if section.blocks:
            yield section


def render(profile: str, sections: Iterator[Section]) -> str:
    """Return the page; all text in `sections` is escaped, and control characters are dropped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters["chart_runs"] = _chart_runs
    return environment.get_template("page.html").render(profile=profile, sections=[*sections])


def _chart_runs(blocks: Sequence[Any]) -> list[list[Any]]:
    """Return the blocks, with charts that follow each other and are not wide in one list."""
    runs: list[list[Any]] = []
    for block in blocks:
        beside = isinstance(block, Chart) and not block.wide
        if beside and runs and isinstance(runs[-1][-1], Chart) and not runs[-1][-1].wide:
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs


def _printable(value: object) -> object:
    """Return text without control characters such as those of ANSI sequences."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "\n".join(map(printable, value.split("\n")))
