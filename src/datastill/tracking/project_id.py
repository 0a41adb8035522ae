"""The id by which projects that share a tracking store tell their runs apart."""

import uuid
from pathlib import Path

from filelock import FileLock

from datastill.io import write_text
from datastill.project.profile import Profile
from datastill.tracking.store import Store


def project_id(profile: Profile) -> str:
    """Return the id of this project, "" for a store in its own folder, which needs none.

    It is in `work/`, which a moved project keeps and another checkout does not have.
    """
    database = Store.of(profile).database
    if database and database.resolve().is_relative_to(Path.cwd()):
        return ""
    path = profile.work / "project-id"
    if not path.is_file():
        with FileLock(profile.work / "locks" / "project-id.lock"):
            if not path.is_file():
                write_text(path, uuid.uuid4().hex)
    return path.read_text()
