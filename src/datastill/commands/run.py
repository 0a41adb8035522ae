"""Command `run`: the stages of a profile, as many at a time as are ready and asked for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from datastill.coco.format import write_text
from datastill.errors import DatastillError, ParamsError
from datastill.project import with_seeds
from datastill.project.profile import Profile, open_profile, params_path
from datastill.scheduler.graph import Graph, read_graph
from datastill.scheduler.jobs import Job, start, stop
from datastill.scheduler.live_view import Board

SECONDS_BETWEEN_LOOKS = 0.1
THREADS = "OMP_NUM_THREADS"
DEVICES = "CUDA_VISIBLE_DEVICES"
ON_FAILURE = 15  # lines of its log that a failed stage is told with


class Run:
    """One run of a graph; a stage starts when all that it waits for is done."""

    def __init__(self, graph: Graph, logs: Path, jobs: int) -> None:
        self._graph, self._logs, self._jobs = graph, logs, jobs
        self._devices, self._threads = devices(), threads(jobs)
        self._waiting = graph.order()
        self._changed: dict[str, bool] = {}  # by stage that is done: whether its outputs may be new
        self._running: list[Job] = []
        self._failed: list[Job] = []

    def run(self) -> int:
        """Run to the end and return how many stages did something.

        Raises DatastillError where a stage fails, and where a signal asks to stop.
        """
        with Board(len(self._graph.waits)) as board, _noted() as signals:
            try:
                while not signals and self._step(board):
                    time.sleep(SECONDS_BETWEEN_LOOKS)
            finally:
                if self._running:
                    board.tell(f"stopping {', '.join(job.stage for job in self._running)}")
                    stop(self._running)
        if signals:
            name = signal.Signals(signals[0]).name
            raise DatastillError(f"stopped by {name}; the same command goes on where it was")
        if self._failed:
            raise DatastillError("\n".join(_told(job) for job in self._failed))
        return sum(self._changed.values())

    def _step(self, board: Board) -> bool:
        """Look after what is under way, start what is ready; return whether there is more."""
        for job in [job for job in self._running if job.process.poll() is not None]:
            self._running.remove(job)
            self._end(job, board)
        if not self._failed:  # else what runs may end, so that its work is kept
            self._start_ready()
        board.show(len(self._changed), self._running)
        return bool(self._running)

    def _end(self, job: Job, board: Board) -> None:
        if job.process.returncode:
            self._failed.append(job)
            board.tell(f"{job.stage}: failed after {job.seconds():.0f} s")
            return
        self._changed[job.stage] = job.changed()
        what = "done" if job.changed() else "unchanged"
        board.tell(f"{job.stage}: {what} in {job.seconds():.0f} s")

    def _start_ready(self) -> None:
        for name in list(self._waiting):
            before = self._graph.waits[name]
            if not before <= self._changed.keys():
                continue
            if name not in self._graph.stale and not any(self._changed[b] for b in before):
                self._waiting.remove(name)
                self._changed[name] = False
                self._start_ready()  # it may have been all that others waited for
                return
            if len(self._running) < self._jobs:
                self._waiting.remove(name)
                self._running.append(self._start(name))

    def _start(self, name: str) -> Job:
        environment = {THREADS: self._threads} if self._threads else {}
        device = ""
        if self._devices:
            busy = Counter(job.device for job in self._running)
            device = min(self._devices, key=lambda each: busy[each])
            environment[DEVICES] = device
        log = self._logs / f"{name.rpartition(':')[2]}.log"
        return start(name, log, environment, device)


@contextmanager
def _noted() -> Iterator[list[int]]:
    """Collect the signals that ask to stop: dying of one, we might leave a job half started."""
    noted: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: noted.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(profile: Profile, jobs: int, dry: bool, seeds: str = "") -> str:
    """Run what is out of date in a profile, `jobs` stages at a time; or say what that would be.

    With `seeds`, such as "0,1,2", a profile of its own has every row with each of them, and is run
    instead. Raises DatastillError where a stage fails, after those under way have ended.
    """
    profile = _seeded(profile, seeds) if seeds else profile
    dvc_yaml = params_path(profile.params.profile).with_name("dvc.yaml")
    if not dvc_yaml.is_file():
        raise DatastillError(f"{dvc_yaml}: no such file; run datastill in the project's root")
    if dry:
        return _plan(read_graph(dvc_yaml), jobs)
    lock = profile.work / "run.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            ran = Run(read_graph(dvc_yaml), profile.work / "logs", jobs).run()
    except Timeout:
        raise DatastillError(f"{lock}: another `datastill run` of this profile is at it") from None
    return f"{ran} stages ran" if ran else "everything is up to date"


def _seeded(profile: Profile, seeds: str) -> Profile:
    """Write the profile of these seeds beside the others and return it."""
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise ParamsError(f"--seeds: expected numbers such as 0,1,2, found {seeds!r}") from None
    of = params_path(profile.params.profile)
    path = params_path(f"{profile.params.profile}-seeds")
    if not of.with_name("dvc.yaml").is_file():
        raise DatastillError(f"{of.with_name('dvc.yaml')}: no such file; nothing would run")
    text = with_seeds(of, numbers, path.parent.name)
    if path.is_file() and not path.read_text().startswith("# Made by `datastill run"):
        raise ParamsError(f"{path}: was not made by --seeds; rename that profile")
    write_text(path, text)
    shutil.copy(of.with_name("dvc.yaml"), path.with_name("dvc.yaml"))
    return open_profile(path.parent.name)


def _plan(graph: Graph, jobs: int) -> str:
    stale = [name for name in graph.waits if name in graph.stale]
    after = set().union(*(graph.followers(name) for name in stale)) - set(stale)
    how = [f"{jobs} at a time"]
    how += [f"{THREADS}={threads(jobs)}"] if threads(jobs) else []
    how += [f"GPUs {', '.join(devices())} in turn"] if devices() else []
    head = f"{len(stale)} of {len(graph.waits)} stages are out of date; {', '.join(how)}"
    lines = [f"  {name}{_after(graph, name)}" for name in stale]
    lines += [f"  {name}, if what it waits for changes" for name in graph.waits if name in after]
    return "\n".join([head, *lines])


def _after(graph: Graph, name: str) -> str:
    """Return which stale stages `name` waits for, less those that they wait for themselves."""
    before = graph.waits[name] & graph.stale
    last = sorted(each for each in before if not graph.followers(each) & before)
    return f"  after {', '.join(last)}" if last else ""


def threads(jobs: int) -> str:
    """Return how many threads a job gets, "" for as many as it likes: what the user says, first.

    Their number changes the last bits of a result, so it stands in every result's provenance.
    """
    if jobs == 1 or THREADS in os.environ:
        return os.environ.get(THREADS, "")
    return str(max(1, _cores() // jobs))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def devices() -> Sequence[str]:
    """Return the GPUs that jobs are given in turn, by what CUDA calls them; none on a CPU."""
    named = os.environ.get(DEVICES)
    if named is not None:
        return [name for name in named.split(",") if name.strip()]
    try:  # torch would say it too, after seconds of being imported
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    except OSError:
        return []
    return [str(number) for number in range(listed.stdout.count("GPU "))]


def _told(job: Job) -> str:
    lines = job.log.read_text(errors="replace").rstrip().splitlines()[-ON_FAILURE:]
    return "\n  ".join([f"{job.stage} failed; the end of {job.log}:", *lines])
