"""Command `rm`: removal of a trial: its profile, work, results and MLflow runs."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from datastill.errors import DatastillError, ParamsError
from datastill.io import is_alive
from datastill.project.git import git
from datastill.project.lock_backup import DVC_LOCKS
from datastill.project.profile import (
    DEFAULT_PROFILE,
    Profile,
    open_profile,
    params_path,
    profile_names,
)
from datastill.tracking.removal import forget, tracked
from datastill.tracking.store import Store


@dataclass(frozen=True)
class Trial:
    """What there is of a profile.

    profile  None if nothing of it can be removed from MLflow
    folders  in the order of their removal: that of params.yaml last, so a killed removal can be
             repeated
    tracked  a line for each thing in MLflow, or on why its things stay
    """

    name: str
    profile: Profile | None
    folders: tuple[Path, ...]
    tracked: tuple[str, ...]

    def describe(self) -> str:
        """Return a line for each thing to remove, folders with their size."""
        sizes = [f"{path}  {_size(path) / 1e6:,.1f} MB" for path in self.folders]
        return "\n".join([*sizes, *self.tracked])

    def remove(self) -> str:
        """Remove all of it, following no link; return what stays.

        Raises DatastillError while one of its stages runs.
        """
        with _idle(Path("work", self.name)):
            if self.profile and self.tracked:
                forget(self.profile)
            for folder in self.folders:
                if folder.is_symlink():
                    folder.unlink()
                else:
                    shutil.rmtree(folder)
        kept = "DVC's cache keeps its outputs until `dvc gc --workspace`"
        if self.profile and self.tracked:
            store = Store.of(self.profile)
            uris = f" --backend-store-uri {store.uri} --tracking-uri {store.uri}"
            command = f"mlflow gc{uris if store.database else ''}"
            kept += f", and MLflow the deleted runs until `{command}`"
        return f"{self.name} is removed; {kept}"


def find_trial(name: str, force: bool = False) -> Trial:
    """Return what there is of the profile `name`.

    Raises ParamsError if there is nothing, if it is the root's own profile, or if git has files of
    it, unless `force`; DatastillError while one of its stages runs.
    """
    if not name or Path(name).name != name or name.startswith("."):
        raise ParamsError(f"{name!r}: expected the name of a profile, a folder in pipelines/")
    if name == DEFAULT_PROFILE:
        raise ParamsError(f"{name!r} is the profile of the root, which cannot be removed")
    folders = [
        path for top in ("work", "results", "pipelines") if _is_there(path := Path(top, name))
    ]
    if not folders:
        known = ", ".join(profile_names()) or "none: run datastill in the project's root"
        raise ParamsError(f"{name!r}: no such profile; the profiles are {known}")
    in_git = git("ls-files", "--", *map(str, folders)).decode().splitlines()
    if in_git and not force:
        raise ParamsError(
            f"{name}: git has {len(in_git)} of its files, such as {in_git[0]}; --force removes "
            "them too, and `git checkout` restores those that are committed"
        )
    with _idle(Path("work", name)):
        pass
    try:
        profile = open_profile(name)
        lines = tracked(profile)
    except ParamsError:
        reason = f"MLflow is left alone: {params_path(name)} is missing or invalid"
        return Trial(name, None, tuple(folders), (reason,))
    except DatastillError:
        return Trial(name, None, tuple(folders), ("MLflow cannot be reached: its runs stay",))
    artifacts = Store.of(profile).artifacts
    beside = [Path(os.path.relpath(artifacts))] if artifacts and artifacts.is_dir() else []
    return Trial(name, profile, (*beside, *folders), tuple(lines))


def _is_there(path: Path) -> bool:
    return path.is_dir() or path.is_symlink()


def _size(path: Path) -> int:
    """Return the bytes of the files below `path`, following no link."""
    if path.is_symlink():
        return 0
    files = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(file.lstat().st_size for file in files)


@contextmanager
def _idle(work: Path) -> Iterator[None]:
    """Keep `datastill run` from starting; raises DatastillError while a stage below `work` runs."""
    if users := [pid for pid in _dvc_processes(work.absolute()) if is_alive(pid)]:
        raise DatastillError(
            f"{work}: DVC is running a stage of this profile (process {users[0]}); wait for it to "
            "end"
        )
    if not work.is_dir():
        yield
        return
    try:
        with ExitStack() as held:
            for lock in (work / "run.lock", *work.glob("locks/*.lock")):
                held.enter_context(FileLock(lock, timeout=0))
            yield
    except Timeout as busy:
        user = "`datastill run`" if busy.lock_file.endswith("run.lock") else "a stage"
        raise DatastillError(f"{busy.lock_file}: {user} of this profile is active") from None


def _dvc_processes(work: Path) -> Iterator[int]:
    """Yield the ids of DVC's processes that have locked something below `work`."""
    try:
        locks = json.loads(DVC_LOCKS.read_text() or "{}") if DVC_LOCKS.is_file() else {}
    except ValueError:
        raise DatastillError(
            f"{DVC_LOCKS}: expected JSON, found a part of it: DVC is writing its lock; try again, "
            "or remove the file if DVC is not running"
        ) from None
    writers = [*locks.get("write", {}).items()]
    readers = [(path, user) for path, users in locks.get("read", {}).items() for user in users]
    for path, user in writers + readers:
        if Path(path).is_relative_to(work):
            yield user["pid"]
