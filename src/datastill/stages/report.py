"""Stage `report`: a finished run as one HTML page."""

from pathlib import Path

from datastill.lineage.row_traces import RowTraces
from datastill.page.finished_run import FinishedRun
from datastill.page.rendering import write_report
from datastill.project.profile import Profile
from datastill.project.records import read_facts
from datastill.tracking.live import mirror_report


def run(profile: Profile) -> Path:
    """Write the page of the profile's results and mirror it to MLflow; return its path.

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
        read=read_facts,
        drawn=params.data.source == "drawn",
        trace=RowTraces(profile).text,
    )
    write_report(finished, profile.report)
    mirror_report(profile)
    return profile.report
