"""dvc.lock: the parameters, inputs and outputs of every stage that ran."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datastill.errors import WRONG_VALUES, DataError
from datastill.project.loading import RENAMED
from datastill.project.records import read_lock

FOLDER = ".dir"  # suffix of a folder's digest
PAGE = "report"  # a stage that makes no number, and may have read files of an earlier time


@dataclass(frozen=True)
class File:
    """A file or folder that a stage read or wrote, with its digests at that time.

    md5     DVC's, ending in .dir for a folder; "" if not recorded
    sha256  this project's own, "" if not recorded
    """

    path: str
    md5: str
    sha256: str = ""

    @property
    def is_folder(self) -> bool:
        return self.md5.endswith(FOLDER)


@dataclass(frozen=True)
class Stage:
    """One run of a stage; params by their path in params.yaml, such as `supervised.co-35`."""

    name: str
    params: Mapping[str, Any]
    reads: Mapping[str, File]
    writes: Mapping[str, File]

    @property
    def code(self) -> tuple[File, ...]:
        return tuple(file for path, file in self.reads.items() if path.startswith("src/"))

    @property
    def release(self) -> str:
        """The version of datastill that ran, "" if the stage recorded its source instead."""
        return str(self.params.get("version", ""))


class Lock:
    """A dvc.lock without the page; raises DataError for what it does not contain."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file; `dvc repro` writes it")
        self.path = path
        stages = read_lock(path)["stages"]
        self.stages = {name: _stage(name, raw) for name, raw in stages.items() if name != PAGE}

    def stage(self, name: str) -> Stage:
        if name not in self.stages:
            raise DataError(f"{self.path}: stage {name} has not run; `dvc repro` runs it")
        return self.stages[name]

    def writer(self, path: str) -> Stage:
        for stage in self.stages.values():
            if path in stage.writes:
                return stage
        raise DataError(f"{self.path}: no stage has written {path}; `dvc repro` runs it")

    def has_written(self, path: str) -> bool:
        """Return whether a stage has written `path`, a folder that holds it, or files in it."""
        written = (f"{other}/" for stage in self.stages.values() for other in stage.writes)
        return any(
            f"{path}/".startswith(other) or other.startswith(f"{path}/") for other in written
        )

    def digests(self, path: str) -> list[str]:
        """Return the digests under which stages read or wrote `path`: one if all agree."""
        groups = [files for stage in self.stages.values() for files in (stage.reads, stage.writes)]
        return sorted({files[path].md5 for files in groups if path in files})


@contextmanager
def recorded(lock: Path, table: str = "") -> Iterator[None]:
    """Raise DataError if dvc.lock or, if it is read too, a table holds values no stage writes."""
    try:
        yield
    except WRONG_VALUES as e:
        place = f"{lock} or {table}" if table else str(lock)
        reason = f"{type(e).__name__}: {' '.join(str(e).split())[:200]}"
        raise DataError(
            f"{place}: expected the records of stages, found others ({reason}); `git checkout` "
            "restores them, `dvc repro` writes them again"
        ) from e


def _stage(name: str, raw: Mapping[str, Any]) -> Stage:
    params = {key: v for values in raw.get("params", {}).values() for key, v in values.items()}
    for section, renamed in RENAMED.items():
        if isinstance(params.get(section), Mapping):
            params[section] = {renamed.get(key, key): v for key, v in params[section].items()}
    if isinstance(scale := params.pop("scale", None), int | float):  # once one number for both
        params |= {"scale.images": scale, "scale.iterations": scale}
    return Stage(name, params, _files(raw.get("deps", [])), _files(raw.get("outs", [])))


def _files(entries: list[dict[str, Any]]) -> dict[str, File]:
    return {entry["path"]: File(entry["path"], entry.get("md5", "")) for entry in entries}
