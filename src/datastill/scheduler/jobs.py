"""One stage in its own process group: started, watched and stopped with all its children."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datastill.scheduler.graph import DVC

# Seconds to exit; torchrun gives the processes of a training run up to 30 of the first.
_PATIENCE = ((signal.SIGINT, 45.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))


@dataclass
class Job:
    """A `dvc repro` of one stage, running or finished; its output goes to `log`."""

    stage: str
    log: Path
    device: str  # CUDA's name of its GPU, "" for none
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def changed(self) -> bool:
        """Return whether DVC ran the stage or restored its outputs, rather than skip it."""
        message = "didn't change, skipping"  # DVC's
        return message not in self.log.read_text(errors="replace")

    def last_line(self) -> str:
        """Return the last line of its log that is not blank, "" without any."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 4096))  # bytes; enough for one line
            text = file.read().decode(errors="replace")
        return text.replace("\r", "\n").rstrip().rpartition("\n")[2].strip()


def start(stage: str, log: Path, environment: Mapping[str, str], device: str) -> Job:
    """Start `dvc repro` of only `stage`; its dependencies must be up to date."""
    log.parent.mkdir(parents=True, exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*DVC, "repro", "--single-item", stage],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": path, **environment},
            start_new_session=True,  # so that Ctrl-C reaches it once, from `stop`
        )
    return Job(stage, log, device, process)


def stop(jobs: Iterable[Job]) -> None:
    """End all `jobs` and their child processes: interrupt, then terminate, then kill."""
    alive = list(jobs)
    for number, patience in _PATIENCE:
        for job in alive:
            _signal(job, number)
        deadline = time.monotonic() + patience
        while alive and time.monotonic() < deadline:
            alive = [job for job in alive if _signal(job, 0)]
            time.sleep(0.05)


def _signal(job: Job, number: int) -> bool:
    """Signal the process group of `job`; return whether any of its processes was left."""
    job.process.poll()  # reap a dead leader, or its group would seem alive
    try:
        os.killpg(job.process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
