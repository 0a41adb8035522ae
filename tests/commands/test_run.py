"""Several stages at a time end as one by one does: real DVC, real processes, real signals."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import yaml
from places import ROOT
from processes import left_in, started, wait_for

STEP = """
import json, os, sys, time
from pathlib import Path
name, began = sys.argv[1], time.time()
Path(f"{name}.began").touch()
together = Path("together.txt").read_text().split()
while name in together and not all(Path(f"{other}.began").exists() for other in together):
    time.sleep(0.05)
    if time.time() > began + 60:
        sys.exit(f"{name} is alone")
if Path(f"{name}.fails").exists():
    sys.exit(f"{name} cannot go on")
time.sleep(float(Path("seconds.txt").read_text()))
wrote = Path("in.txt").read_text()[0] if name == "data" else name
Path(f"{name}.txt").write_text(wrote)
told = {"name": name, "began": began, "ended": time.time(), "env": dict(os.environ)}
with open("told.jsonl", "a") as file:
    file.write(json.dumps(told) + "\\n")
"""
STAGES = {"data": ["in.txt"], "a": ["data.txt"], "b": ["data.txt"], "c": ["a.txt", "b.txt"]}


def steps(project):
    """What the stages of a small pipeline told of themselves, in the order of their ends."""
    path = project.root / "told.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def names(project):
    return [step["name"] for step in steps(project)]


def put(project, **files):
    for name, text in files.items():
        (project.root / name.replace("__", ".")).write_text(text)


@pytest.fixture
def small(bare):
    """A project whose stages only sleep, or wait for each other: data, then a and b, then c."""
    project = bare
    shutil.copy(ROOT / "params.yaml", project.root)
    stages = {
        name: {"cmd": f"{sys.executable} step.py {name}", "deps": deps, "outs": [f"{name}.txt"]}
        for name, deps in STAGES.items()
    }
    put(project, step__py=STEP, dvc__yaml=yaml.safe_dump({"stages": stages}, sort_keys=False))
    put(project, in__txt="1", seconds__txt="0.1", together__txt="")
    return project


def up_to_date(project):
    answer = project.run("dvc", "status")
    return "Data and pipelines are up to date" in answer.stdout


@pytest.mark.slow
def test_ready_stages_run_together_in_order_and_share_gpus_and_cores(small):
    environment = {**small.environment, "CUDA_VISIBLE_DEVICES": "3,5"}
    environment.pop("OMP_NUM_THREADS", None)
    put(small, together__txt="a b")
    answer = subprocess.run(
        ["datastill", "run", "--jobs", "2"],
        cwd=small.root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "4 stages ran" in answer.stdout
    told = {step["name"]: step for step in steps(small)}
    assert names(small)[0] == "data"
    assert names(small)[3] == "c"
    assert told["c"]["began"] >= max(told["a"]["ended"], told["b"]["ended"])
    assert up_to_date(small)
    assert {told[name]["env"]["CUDA_VISIBLE_DEVICES"] for name in "ab"} == {"3", "5"}
    threads = str(max(1, len(os.sched_getaffinity(0)) // 2))
    assert {step["env"]["OMP_NUM_THREADS"] for step in told.values()} == {threads}


@pytest.mark.slow
def test_what_is_up_to_date_or_follows_what_did_not_change_is_left_alone(small):
    assert small.run("dvc", "repro").returncode == 0
    assert "everything is up to date" in small.run("datastill", "run").stdout
    put(small, in__txt="1 and more")  # for which data writes what it wrote before
    told = small.run("datastill", "run", "--dry").stdout.splitlines()
    assert told[0].startswith("1 of 4 stages are out of date; 2 at a time")
    assert [line.split(",")[0].strip() for line in told[1:]] == ["data", "a", "b", "c"]
    assert len(steps(small)) == 4
    answer = small.run("datastill", "run")
    assert answer.returncode == 0
    assert "1 stages ran" in answer.stdout
    assert names(small)[4:] == ["data"]
    assert up_to_date(small)


def test_a_project_that_dvc_cannot_write_to_is_one_sentence_that_names_the_place(small):
    folder = small.root / ".dvc/tmp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.touch()
    answer = small.run("datastill", "run", "--dry")
    assert answer.returncode == 1
    (told,) = answer.stderr.splitlines()
    assert f"dvc dag --dot dvc.yaml failed: {folder}: File exists; DVC has to write" in told


@pytest.mark.slow
def test_a_lock_file_cut_short_by_a_kill_is_what_it_was_before_the_last_stage(small):
    assert small.run("dvc", "repro").returncode == 0
    whole, copy = (
        (small.root / "dvc.lock").read_text(),
        small.root / "work/miniature/locks/dvc.lock",
    )
    copy.parent.mkdir(parents=True)
    copy.write_text(whole)
    put(small, dvc__lock=whole[: len(whole) // 2])
    (small.root / ".dvc/tmp/rwlock").write_text('{"write": {')
    answer = small.run("datastill", "run")
    assert answer.returncode == 0, answer.stderr
    assert "dvc.lock was cut short by a kill: restored" in answer.stderr
    assert len(steps(small)) == 4
    assert up_to_date(small)


@pytest.mark.slow
def test_a_failure_is_told_with_its_log_and_what_runs_beside_it_is_kept(small):
    put(small, seconds__txt="1", together__txt="a b", a__fails="")
    answer = small.run("datastill", "run", "--jobs", "2")
    assert answer.returncode == 1
    assert "a failed; the end of work/miniature/logs/a.log:" in answer.stderr
    assert "a cannot go on" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert sorted(names(small)) == ["b", "data"]
    (small.root / "a.fails").unlink()
    put(small, seconds__txt="0.1")
    assert small.run("datastill", "run").returncode == 0
    assert names(small)[2:] == ["a", "c"]
    assert up_to_date(small)


@pytest.mark.slow
def test_a_signal_leaves_no_process_behind_and_the_next_run_goes_on(small):
    put(small, seconds__txt="60", in__txt="1", data__txt="1")
    assert small.run("dvc", "commit", "-f", "data").returncode == 0
    for number in (signal.SIGINT, signal.SIGTERM):
        process = started(small, "datastill", "run", "--jobs", "2")
        for name in "ab":
            wait_for(small.root / f"{name}.began", process)
        assert left_in(small.root)
        second = small.run("datastill", "run")
        assert second.returncode == 1
        assert "another `datastill run` of this profile is active" in second.stderr
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 1
        assert f"stopped by {number.name}; run the same command again" in told
        assert left_in(small.root) == []
        for name in "ab":
            (small.root / f"{name}.began").unlink()
    put(small, seconds__txt="0")
    assert small.run("datastill", "run").returncode == 0
    assert sorted(names(small)) == ["a", "b", "c"]
    assert up_to_date(small)


def test_a_training_of_two_processes_that_is_told_to_stop_leaves_none_behind(copy):
    params = copy.params()
    params["machine"]["processes"] = 2
    params["train"]["micro_batch_size"] = 2
    params["supervised"]["co-35"]["iterations"] *= 20
    copy.write_params(params)
    training = started(copy, "datastill", "train", "co-35")
    wait_for(copy.root / "work/miniature/training/co-35/journal.jsonl", training)
    assert len(left_in(copy.root)) >= 4  # the command, torchrun and its two
    training.terminate()
    _, told = training.communicate(timeout=90)
    assert training.returncode == 1
    assert "stopped by SIGTERM" in told
    assert left_in(copy.root) == []
