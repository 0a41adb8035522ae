"""Command `track sync`: MLflow's mirror of all trained rows, rebuilt from their files."""

from datastill.errors import DatastillError
from datastill.project.profile import Profile
from datastill.tracking.live import mirror_report, mirror_row
from datastill.tracking.store import without_password


def run(profile: Profile) -> str:
    """Mirror every trained row and the report, if there is one; return the number of rows.

    Raises DatastillError if the tracking store refuses or does not respond in time.
    """
    trained = [row for row in profile.params.rows() if (profile.model(row) / "card.json").is_file()]
    failed = [row for row in trained if not mirror_row(profile, row)]
    if not mirror_report(profile):
        failed.append("the report")
    if failed:
        raise DatastillError(
            f"{without_password(profile.params.tracking.uri)}: not mirrored: {', '.join(failed)}"
        )
    return f"{len(trained)} of {len(profile.params.rows())} rows are trained and mirrored"
