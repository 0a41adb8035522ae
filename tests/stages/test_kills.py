"""The tiny pipeline, killed at random moments and run again, ends in the bytes of one run."""

import json
import os
import random
import re
import shutil
import subprocess

import pytest
import yaml
from mlflow_runs import runs
from processes import kill_all

from datastill.tracking.run_record import REPORT
from datastill.tracking.store import Store

KILLS = int(os.environ.get("DATASTILL_KILLS", "3"))
SEED = int(os.environ.get("DATASTILL_KILLS_SEED", "0"))
RUN = ("datastill", "run", "--jobs", "2")
FOLDERS = ("annotations", "data", "detections", "images", "models", "shards")
# What the clock and chance decide, in the folder of a model; no stage reads it.
OF_THE_CLOCK = {"card.json": {"seconds", "attempt"}, "journal.jsonl": {"time"}}


def undated(path):
    """The content of an output but for what no two runs share."""
    if path.name == "dvc.lock":  # its digests of models and of the page hold their fields
        stages = yaml.safe_load(path.read_text())["stages"]
        entries = (e for s in stages.values() for e in (*s["deps"], *s["outs"]))
        for entry in entries:
            if re.search(r"/(models(/[^/]+)?|report\.html)$", entry["path"]):
                del entry["md5"], entry["size"]
        return sorted(stages.items())
    if path.name not in OF_THE_CLOCK or "models" not in path.parts:
        return path.read_bytes()
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    records = [json.loads(line) for line in lines]
    return [{k: v for k, v in r.items() if k not in OF_THE_CLOCK[path.name]} for r in records]


def outputs(root):
    """All files that stages write, by path; a killed process may leave a partial one behind."""
    folders = [root / "results/miniature", *(root / "work/miniature" / name for name in FOLDERS)]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    kept = [path for path in files if path.suffix != ".partial"]
    return {p.relative_to(root).as_posix(): undated(p) for p in (*kept, root / "dvc.lock")}


def seconds_of(root):
    """How long the pipeline took, from its params to its table."""
    began, ended = root / "params.yaml", root / "results/miniature/table1.csv"
    return ended.stat().st_mtime - began.stat().st_mtime


def is_whole(root):
    """Whether no kill left a part of what DVC writes in place."""
    lock, held = root / "dvc.lock", root / ".dvc/tmp/rwlock"
    if lock.is_file() and not lock.read_text().endswith("\n"):
        return False
    try:
        json.loads(held.read_text() if held.is_file() else "{}")
    except ValueError:
        return False
    return True


def is_killed(project, command, seconds):
    """Run `command`, kill all its processes after `seconds`; return whether it was not done.

    `dvc repro` may stop at a file of DVC's of which a kill left a part; `datastill run` mends it.
    """
    may_fail = command[0] == "dvc" and not is_whole(project.root)
    with (project.root.parent / f"{project.root.name}.log").open("a+") as log:
        process = subprocess.Popen(
            command, cwd=project.root, env=project.environment, stdout=log, stderr=log
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            kill_all(project.root)
            process.wait()
            return True
        log.seek(0)
        assert process.returncode == 0 or may_fail, log.read()[-3000:]
    return False


@pytest.mark.parametrize("seed", [SEED])
def test_killed_at_any_moment_and_run_again_the_outputs_are_those_of_one_run(
    reproduced, project, tmp_path, seed
):
    moments, longest = random.Random(seed), seconds_of(reproduced.root) / 4
    expected, kills, rounds = outputs(reproduced.root), 0, 0
    while kills < KILLS:
        rounds += 1
        attempt = type(project)(shutil.copytree(project.root, tmp_path / f"round-{rounds}"))
        while kills < KILLS and is_killed(
            attempt, moments.choice((RUN, ("dvc", "repro"))), moments.uniform(0, longest)
        ):
            kills += 1
        assert not is_killed(attempt, RUN, 3600)
        ended = outputs(attempt.root)
        assert sorted(ended) == sorted(expected)
        assert [name for name in expected if ended[name] != expected[name]] == []
        store = Store(f"sqlite:///{attempt.root / 'mlflow.db'}", "datastill/miniature", 60)
        mirrored = sorted((run["row"], run["status"]) for run in runs(store))
        rows = ("co-115", "co-35", "co-35_co-80", REPORT)
        assert mirrored == [(row, "FINISHED") for row in rows]
        shutil.rmtree(attempt.root)
