"""A copy of dvc.lock: DVC writes that file in place, so a kill meanwhile leaves a part of it."""

import json
import logging
import time
from pathlib import Path

from datastill.io import write_text
from datastill.project.profile import Profile, params_path

DVC_LOCKS = Path(".dvc/tmp/rwlock")  # of the paths that DVC's processes read and write
_MOMENT_SECONDS = 0.5  # DVC takes less to write DVC_LOCKS

_log = logging.getLogger(__name__)


def keep_lock(profile: Profile) -> None:
    """Copy the profile's dvc.lock if there is one and it is whole."""
    path, copy = _paths(profile)
    if path.is_file() and _is_whole(text := path.read_text()):
        write_text(copy, text)


def restore_lock(profile: Profile) -> None:
    """Replace a dvc.lock that was cut short by its last copy, and drop such a file DVC_LOCKS.

    What has ended since that copy runs again, or comes from DVC's cache.
    """
    path, copy = _paths(profile)
    if path.is_file() and copy.is_file() and not _is_whole(path.read_text()):
        _log.warning("%s was cut short by a kill: restored as it was before the last stage", path)
        write_text(path, copy.read_text())
    if _is_cut(DVC_LOCKS):
        time.sleep(_MOMENT_SECONDS)  # a process may be writing it
        if _is_cut(DVC_LOCKS):
            DVC_LOCKS.unlink()


def _paths(profile: Profile) -> tuple[Path, Path]:
    path = params_path(profile.params.profile).with_name("dvc.lock")
    return path, profile.work / "locks" / path.name


def _is_whole(text: str) -> bool:
    return text.endswith("\n")


def _is_cut(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False
