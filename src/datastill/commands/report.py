"""Command `report`: a finished run as one HTML page."""

from functools import partial
from pathlib import Path

from datastill.commands import trace
from datastill.errors import DatastillError
from datastill.page.finished_run import FinishedRun
from datastill.page.rendering import write_report
from datastill.project.profile import Profile


def run(profile: Profile) -> Path:
    """Write the page of the profile's results; return its path.

    Raises DataError if the run has not written its tables.
    """
    params = profile.params
    specs = {row: spec.model_dump(exclude_none=True) for row, spec in params.rows().items()}
    finished = FinishedRun(
        name=params.profile,
        task=params.task,
        files=profile,
        specs=specs,
        original=params.original_set,
        members=params.members(),
        tables=params.tables,
        drawn=params.data.source == "drawn",
        trace=partial(_trace, profile),
    )
    path = profile.work / "report.html"
    write_report(finished, path)
    return path


def _trace(profile: Profile, row: str) -> str:
    """Return the origin of a row's numbers, or why it is not known."""
    try:
        return trace.run(profile, row, False, False)[0]
    except DatastillError as error:
        return str(error)
