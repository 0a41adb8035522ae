"""Command `run`: the stages of a profile that are out of date, several at a time."""

import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from datastill.errors import DatastillError, ParamsError
from datastill.io import write_text
from datastill.project.lock_backup import restore_lock
from datastill.project.profile import Profile, open_profile, params_path
from datastill.project.seeds import is_unedited, with_seeds
from datastill.scheduler.graph import Graph, read_graph
from datastill.scheduler.runner import THREADS, Runner, devices, threads


def run(profile: Profile, jobs: int, dry: bool, seeds: str | None = None) -> str:
    """Run what is out of date in a profile, `jobs` stages at a time; `dry` only lists it.

    `seeds`, such as "0,1,2", first writes a profile with every row once per seed and runs that
    instead. Raises DatastillError if a stage fails, once those running beside it have ended.
    """
    profile = profile if seeds is None else _write_seeded(profile, seeds)
    dvc_yaml = _dvc_yaml(params_path(profile.params.profile), "run datastill in the project's root")
    if dry:
        return _preview(read_graph(dvc_yaml), jobs)
    lock = profile.work / "run.lock"
    try:
        with FileLock(lock, timeout=0):
            restore_lock(profile)
            ran = Runner(read_graph(dvc_yaml), profile.work / "logs", jobs).run()
    except Timeout:
        raise DatastillError(f"{lock}: another `datastill run` of this profile is active") from None
    return f"{ran} stages ran" if ran else "everything is up to date"


def _dvc_yaml(params: Path, advice: str) -> Path:
    path = params.with_name("dvc.yaml")
    if not path.is_file():
        raise DatastillError(f"{path}: no such file; {advice}")
    return path


def _write_seeded(profile: Profile, seeds: str) -> Profile:
    """Write the profile with these seeds beside the others and return it."""
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise ParamsError(f"--seeds: expected numbers such as 0,1,2, found {seeds!r}") from None
    source = params_path(profile.params.profile)
    path = params_path(f"{profile.params.profile}-seeds")
    dvc_yaml = _dvc_yaml(source, "the new profile could not run")
    text = with_seeds(source, numbers, path.parent.name)
    if path.is_file() and not is_unedited(path.read_text("utf-8", "replace")):
        was = "was not written by --seeds, or has been edited since"
        raise ParamsError(f"{path}: {was}; rename that profile or move it away")
    write_text(path, text)
    shutil.copy(dvc_yaml, path.with_name("dvc.yaml"))
    return open_profile(path.parent.name)


def _preview(graph: Graph, jobs: int) -> str:
    stale = [name for name in graph.upstream if name in graph.stale]
    downstream = set().union(*map(graph.downstream, stale)).difference(stale)
    resources = [f"{jobs} at a time"]
    resources += [f"{THREADS}={threads(jobs)}"] if threads(jobs) else []
    resources += [f"GPUs {', '.join(devices())} in turn"] if devices() else []
    counts = f"{len(stale)} of {len(graph.upstream)} stages are out of date"
    lines = [f"  {name}{_after(graph, name)}" for name in stale]
    lines += [f"  {n}, if its dependencies change" for n in graph.upstream if n in downstream]
    return "\n".join([f"{counts}; {', '.join(resources)}", *lines])


def _after(graph: Graph, name: str) -> str:
    """Return the stale stages that `name` depends on, except those implied by the others."""
    upstream = graph.upstream[name] & graph.stale
    last = sorted(each for each in upstream if not graph.downstream(each) & upstream)
    return f"  after {', '.join(last)}" if last else ""
