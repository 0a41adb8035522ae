"""Losses and learning rates of a training run, as JSON lines without a tracking server."""

import json
import time
from pathlib import Path

from datastill.errors import DataError
from datastill.io import parse_json, write_text


class MetricsLog:
    """One line of JSON per logged step; a resumed run first drops the steps it will repeat."""

    def __init__(self, path: Path, resume_at: int) -> None:
        kept = [entry for entry in read_metrics_log(path) if entry["step"] < resume_at]
        write_text(path, "".join(json.dumps(entry) + "\n" for entry in kept))
        self._path = path

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add one step and the time, in seconds since 1970."""
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, "time": round(time.time(), 3), **values}) + "\n")


def read_metrics_log(path: Path) -> list[dict[str, float]]:
    """Return all whole lines of the log at `path`, [] if there is none.

    Raises DataError if one is damaged.
    """
    try:
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
        return [parse_json(line) for line in lines if line.endswith("\n")]
    except ValueError as error:
        raise DataError(f"{path}: expected JSON lines of a training run: {error}") from None
