"""Command `track sync`: MLflow's mirror of all trained rows, rebuilt from their files."""

from datastill.errors import DatastillError
from datastill.project.profile import Profile
from datastill.tracking.live import mirror_report, mirror_row
from datastill.tracking.store import without_password


def run(profile: Profile) -> str:
    """Mirror every row that is trained or in training, and the report if there is one.

    Returns the number of trained rows. Raises DatastillError if the tracking store refuses or does
    not respond in time.
    """
    rows = profile.params.rows()
    trained, begun = (
        [row for row in rows if (folder(row) / "card.json").is_file()]
        for folder in (profile.model, profile.training)
    )
    failed = [row for row in dict.fromkeys([*trained, *begun]) if not mirror_row(profile, row)]
    if not mirror_report(profile):
        failed.append("the report")
    if failed:
        raise DatastillError(
            f"{without_password(profile.params.tracking.uri)}: not mirrored: {', '.join(failed)}"
        )
    return f"{len(trained)} of {len(rows)} rows are trained and mirrored"
