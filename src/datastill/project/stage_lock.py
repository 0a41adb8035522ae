"""A lock per stage and row, against a process that goes on after the DVC that started it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from filelock import FileLock, Timeout

from datastill.errors import DatastillError
from datastill.io import write_text
from datastill.project.lock_backup import keep_lock
from datastill.project.profile import Profile
from datastill.project.schema import Params
from datastill.project.usage import record_usage

PATIENCE_SECONDS = 10.0  # the data workers of a killed process end within five


@contextmanager
def lock_stage(profile: Profile, stage: str, name: str = "") -> Iterator[None]:
    """Hold the lock of `stage` of the row, ensemble, teacher or table `name`; keep dvc.lock.

    Record the peak memory of a training run. Each process of a distributed one has its own lock.
    Nothing is locked where the stage is about to fail: if params have no such name, or `data` has
    not run. Raises DatastillError, with the id of the process that holds the lock.
    """
    if (name and name not in _names(profile.params)) or not (
        stage == "data" or profile.work.is_dir()
    ):
        yield
        return
    rank = os.environ.get("RANK", "")
    path = profile.work / "locks" / f"{'-'.join(filter(None, (stage, name, rank)))}.lock"
    owner = path.with_suffix(".pid")  # not in the lock itself, which some systems let nobody read
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(path, timeout=PATIENCE_SECONDS).acquire()
    except Timeout:
        process = owner.read_text().strip() if owner.is_file() else "?"
        words = f"{name}{profile.option}" if stage != "report" else profile.params.profile
        command = f"datastill {stage} {words}".replace("  ", " ").rstrip()
        raise DatastillError(
            f"{path}: process {process} is still running `{command}`; end it with "
            f"`kill {process}`, then run the same command again to resume"
        ) from None
    with held:
        write_text(owner, f"{os.getpid()}\n")
        keep_lock(profile)
        records = stage == "train" and rank in ("", "0")
        with record_usage(profile, name) if records else nullcontext():
            yield


def is_locked(profile: Profile, stage: str, name: str) -> bool:
    """Return whether a process runs `stage` of the row `name`."""
    path = profile.work / "locks" / f"{stage}-{name}.lock"
    if not path.is_file():
        return False
    try:
        FileLock(path, timeout=0).acquire().lock.release()
    except Timeout:
        return True
    return False


def _names(params: Params) -> set[str]:
    return {*params.rows(), *params.ensembles, *params.teachers.names(), *params.tables}
