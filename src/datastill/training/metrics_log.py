"""What a training measured, step by step, in a file that outlives any tracking server."""

from __future__ import annotations

import json
import time
from pathlib import Path

from datastill.io import write_text


class MetricsLog:
    """Lines of JSON, one per logged step; steps that a resumed training repeats are taken back."""

    def __init__(self, path: Path, resume_at: int) -> None:
        kept = [entry for entry in read_metrics_log(path) if entry["step"] < resume_at]
        write_text(path, "".join(json.dumps(entry) + "\n" for entry in kept))
        self._file = path.open("a")

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add one step and the time, in seconds since 1970."""
        entry = {"step": step, "time": round(time.time(), 3), **values}
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_metrics_log(path: Path) -> list[dict[str, float]]:
    """Return all whole lines of the journal at `path`, [] where there is none."""
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]
