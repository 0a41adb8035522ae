"""What is mirrored: all that the files of one row say about it, as plain data."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datastill.errors import DatastillError

NAME = re.compile(r"[/\w.\- ]{1,250}")  # what MLflow takes as the name of a metric, on any system


@dataclass(frozen=True)
class DataInput:
    """An image set or generated annotations that a row read.

    MLflow keeps one context for one name and digest in a run.
    """

    name: str
    digest: str  # SHA-256, hexadecimal
    source: str  # path
    context: str  # labelled, unlabelled, generated or val
    facts: Mapping[str, int] = field(default_factory=dict)  # images, instances


@dataclass(frozen=True)
class RunRecord:
    """All that the files of one row say about it.

    row        also the run's name
    attempt    the id of one training: kept over crashes and resumes, new for a forced rerun
    history    the journal's points: "step", metrics and, where known, "time" (seconds since 1970)
    metrics    the final ones, such as "val/keypoints/ap"
    artifacts  path inside the run -> file; a file that does not exist is skipped
    status     RUNNING, FINISHED, FAILED or KILLED
    """

    row: str
    fingerprint: str
    attempt: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    inputs: Sequence[DataInput] = ()
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    status: str = "RUNNING"

    def identity(self) -> dict[str, str]:
        """Return the tags that a run must carry to be this record's."""
        return {"row": self.row, "fingerprint": self.fingerprint, "attempt": self.attempt}


def check(record: RunRecord) -> None:
    """Raise DatastillError for a row, metric, param or artifact whose name MLflow refuses."""
    metrics = {name for point in record.history for name in point} | set(record.metrics)
    for name in [record.row, *sorted(metrics), *record.params, *record.artifacts]:
        inside = posixpath.normpath(name) == name and not name.startswith(("/", ".."))
        if not (NAME.fullmatch(name) and inside):
            raise DatastillError(
                f"row {record.row!r}: MLflow refuses the name {name!r}; metrics, params and "
                "artifacts are relative paths of letters, digits, spaces, '_', '-' and '.'"
            )
    if any("step" not in point for point in record.history):
        raise DatastillError(f"row {record.row!r}: a point of its history lacks 'step'")
