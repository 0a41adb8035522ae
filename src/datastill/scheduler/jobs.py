"""One stage in a process group of its own: started, looked at, and stopped without a remnant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datastill.scheduler.graph import DVC

# Seconds; the first are a training's of several processes, which torchrun may give 30 to end.
PATIENCE = ((signal.SIGINT, 45.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
UNCHANGED = "didn't change, skipping"  # DVC's words
_TAIL = 4096  # bytes of a log that its last line is looked for in


@dataclass
class Job:
    """A `dvc repro` of one stage that is under way or over; its output goes to `log`."""

    stage: str
    log: Path
    device: str  # of CUDA, "" for none
    process: subprocess.Popen[bytes]
    began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Return how long ago it began."""
        return time.monotonic() - self.began

    def changed(self) -> bool:
        """Return whether DVC ran the stage or fetched its outputs, rather than leave it."""
        return UNCHANGED not in self.log.read_text(errors="replace")

    def last_line(self) -> str:
        """Return what it said last."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def start(stage: str, log: Path, environment: Mapping[str, str], device: str) -> Job:
    """Start `dvc repro` of `stage` alone; what it waits for must be done."""
    log.parent.mkdir(parents=True, exist_ok=True)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*DVC, "repro", "--single-item", stage],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": programs, **environment},
            start_new_session=True,  # so that Ctrl-C reaches it once, from `stop`
        )
    return Job(stage, log, device, process)


def stop(jobs: Iterable[Job]) -> None:
    """End all `jobs` and whatever they started: asked first, then made to."""
    left = list(jobs)
    for number, patience in PATIENCE:
        for job in left:
            _signal(job, number)
        deadline = time.monotonic() + patience
        while left and time.monotonic() < deadline:
            left = [job for job in left if _lives(job)]
            time.sleep(0.05)


def _signal(job: Job, number: int) -> None:
    try:
        os.killpg(job.process.pid, number)
    except (ProcessLookupError, PermissionError):
        job.process.poll()


def _lives(job: Job) -> bool:
    """Return whether any process of the job's group is left."""
    job.process.poll()  # a dead leader is reaped, or its group would seem to live
    try:
        os.killpg(job.process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
