"""Execution of a graph of stages: as many at a time as are ready and allowed."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from datastill.errors import DatastillError
from datastill.scheduler.graph import Graph
from datastill.scheduler.jobs import Job, start, stop
from datastill.scheduler.live_view import LiveView

THREADS = "OMP_NUM_THREADS"
_DEVICES = "CUDA_VISIBLE_DEVICES"


class Runner:
    """One run of a graph; a stage starts once all stages upstream of it are done."""

    def __init__(self, graph: Graph, logs: Path, jobs: int) -> None:
        self._graph, self._logs, self._jobs = graph, logs, jobs
        self._devices, self._threads = devices(), threads(jobs)
        self._waiting = graph.order()
        self._changed: dict[str, bool] = {}  # by finished stage: whether its outputs may be new
        self._running: list[Job] = []
        self._failed: list[Job] = []

    def run(self) -> int:
        """Run to the end and return how many stages DVC ran or restored.

        Raises DatastillError if a stage fails, once those running beside it have ended, and
        on SIGINT, SIGTERM or SIGHUP, once all are stopped.
        """
        with LiveView(len(self._graph.upstream)) as view, _caught_signals() as signals:
            try:
                while not signals and self._step(view):
                    time.sleep(0.1)
            finally:
                if self._running:
                    view.log(f"stopping {', '.join(job.stage for job in self._running)}")
                    stop(self._running)
        if signals:
            name = signal.Signals(signals[0]).name
            raise DatastillError(f"stopped by {name}; run the same command again to resume")
        if self._failed:
            raise DatastillError("\n".join(map(_failure, self._failed)))
        return sum(self._changed.values())

    def _step(self, view: LiveView) -> bool:
        """Collect finished jobs and start what is ready; return whether any job is running."""
        for job in [job for job in self._running if job.process.poll() is not None]:
            self._running.remove(job)
            view.log(f"{job.stage}: {self._outcome(job)} {job.seconds():.0f} s")
        while not self._failed and self._start_one():
            pass  # after a failure nothing starts, and the running jobs end and keep their work
        view.show(len(self._changed), self._running)
        return bool(self._running)

    def _outcome(self, job: Job) -> str:
        if job.process.returncode:
            self._failed.append(job)
            return "failed after"
        changed = self._changed[job.stage] = job.changed()
        return "done in" if changed else "unchanged in"

    def _start_one(self) -> bool:
        """Start, or skip as unchanged, the first stage that can be; return whether one could."""
        for name in self._waiting:
            upstream = self._graph.upstream[name]
            stale = name in self._graph.stale or any(map(self._changed.get, upstream))
            if upstream <= self._changed.keys() and (not stale or len(self._running) < self._jobs):
                self._waiting.remove(name)
                if stale:
                    self._running.append(self._start(name))
                else:
                    self._changed[name] = False
                return True
        return False

    def _start(self, name: str) -> Job:
        busy = Counter(job.device for job in self._running)
        device = min(self._devices, key=lambda each: busy[each], default="")
        environment = {THREADS: self._threads} if self._threads else {}
        environment |= {_DEVICES: device} if device else {}
        log = self._logs / f"{name.rpartition(':')[2]}.log"
        return start(name, log, environment, device)


def _failure(job: Job) -> str:
    lines = job.log.read_text(errors="replace").rstrip().splitlines()[-15:]
    return "\n  ".join([f"{job.stage} failed; the end of {job.log}:", *lines])


@contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """Collect stop signals instead of exiting at once, which might leave a job half started."""
    caught: list[int] = []
    with ExitStack() as restore:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_IGN:  # as nohup has SIGHUP
                continue
            before = signal.signal(number, lambda number, _: caught.append(number))
            restore.callback(signal.signal, number, before)
        yield caught


def threads(jobs: int) -> str:
    """Return OMP_NUM_THREADS of a job, "" to leave it unset; the user's own value comes first.

    The number of threads changes the last bits of a result, so all provenance records it.
    """
    if jobs == 1 or THREADS in os.environ:
        return os.environ.get(THREADS, "")
    affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1
    return str(max(1, cores // jobs))


def devices() -> Sequence[str]:
    """Return CUDA's names of the GPUs that jobs take in turn; empty on a CPU."""
    if (visible := os.environ.get(_DEVICES)) is not None:
        return [name for name in visible.split(",") if name.strip()]
    try:  # importing torch for this would take seconds
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    except OSError:
        return []
    return [str(number) for number in range(listed.stdout.count("GPU "))]
