"""Command `rm`: what it removes, what it asks and what it refuses."""

import io
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from mlflow_runs import RECORD, runs
from places import ROOT

from datastill.project.profile import open_profile
from datastill.tracking.store import Store
from datastill.tracking.sync import mirror

FOLDERS = ("pipelines/own", "work/own", "results/own")


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """A project with a profile `own` that has worked on source data beside it, and one other."""
    project = tmp_path / "project"
    for folder in (*FOLDERS, "work/own/images", "pipelines/other", "work/other"):
        (project / folder).mkdir(parents=True, exist_ok=True)
    raw = yaml.safe_load((ROOT / "pipelines/boxes/params.yaml").read_text())
    raw |= {"profile": "own", "params_file": "pipelines/own/params.yaml"}
    (project / "pipelines/own/params.yaml").write_text(yaml.safe_dump(raw))
    (project / "pipelines/other/params.yaml").touch()
    (project / "work/own/weights").write_bytes(bytes(2_500_000))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.jpg").write_bytes(b"pixels")
    (project / "work/own/images/photos").symlink_to(tmp_path / "data")
    monkeypatch.chdir(project)
    return project


def left():
    return [folder for folder in FOLDERS if Path(folder).exists()]


def test_all_of_it_goes_and_neither_source_data_nor_another_profile(trial, datastill):
    answer = datastill("rm", "own", "--yes")
    assert answer.returncode == 0, answer.stderr
    assert "work/own  2.5 MB" in answer.stdout
    assert "results/own  0.0 MB" in answer.stdout
    assert left() == []
    assert (trial.parent / "data/a.jpg").read_bytes() == b"pixels"
    assert sorted(path.as_posix() for path in Path().glob("*/*")) == [
        "pipelines/other", "work/other",
    ]  # fmt: skip


def test_of_a_linked_folder_only_the_link_goes(trial, datastill):
    Path("work/own").rename(trial.parent / "disk")
    Path("work/own").symlink_to(trial.parent / "disk")
    assert datastill("rm", "own", "--yes").returncode == 0
    assert left() == []
    assert (trial.parent / "disk/weights").stat().st_size == 2_500_000


def test_without_a_yes_nothing_goes(trial, datastill, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    answer = datastill("rm", "own")
    assert answer.returncode == 1
    assert "Remove all of this?" in answer.stdout
    assert "work/own  2.5 MB" in answer.stdout
    assert left() == [*FOLDERS]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "'none': no such profile; the profiles are other, own"),
        ("../own", "'../own': expected the name of a profile"),
        ("a/b", "'a/b': expected the name of a profile"),
        (".", "'.': expected the name of a profile"),
        ("", "'': expected the name of a profile"),
        ("miniature", "'miniature' is the profile of the root"),
    ],
)
def test_a_name_that_is_none_of_a_trial_is_refused(trial, datastill, name, message):
    answer = datastill("rm", name, "--yes")
    assert answer.returncode == 1
    assert message in answer.stderr
    assert left() == [*FOLDERS]


def test_what_git_has_goes_only_by_force(trial, datastill):
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "add", "pipelines/own"], check=True)
    answer = datastill("rm", "own", "--yes")
    assert answer.returncode == 1
    assert "own: git has 1 of its files, such as pipelines/own/params.yaml" in answer.stderr
    assert left() == [*FOLDERS]
    assert datastill("rm", "own", "--yes", "--force").returncode == 0
    assert left() == []


def test_a_profile_that_runs_is_refused(trial, datastill):
    Path("work/own/locks").mkdir()
    for name, user in (("run.lock", "`datastill run`"), ("locks/train-a.lock", "a stage")):
        with FileLock(f"work/own/{name}"):
            answer = datastill("rm", "own", "--yes")
        assert answer.returncode == 1
        assert f"{user} of this profile is active" in answer.stderr
    locks = trial / ".dvc/tmp/rwlock"
    locks.parent.mkdir(parents=True)
    user = {"pid": os.getpid(), "cmd": "dvc repro"}
    data = str(trial / "work/own/data")
    for held in ({"write": {data: user}}, {"read": {data: [user]}}):  # as DVC writes it
        locks.write_text(json.dumps(held))
        answer = datastill("rm", "own", "--yes")
        assert answer.returncode == 1
        assert f"DVC is running a stage of this profile (process {os.getpid()})" in answer.stderr
    assert left() == [*FOLDERS]
    locks.write_text(json.dumps({"write": {str(trial / "work/other"): user}}))
    assert datastill("rm", "own", "--yes").returncode == 0


def test_a_profile_with_wrong_params_goes_too_but_stays_in_mlflow(trial, datastill):
    Path("pipelines/own/params.yaml").write_text("task: none")
    answer = datastill("rm", "own", "--yes")
    assert answer.returncode == 0
    assert "MLflow is left alone: pipelines/own/params.yaml is missing or invalid" in answer.stdout
    assert left() == []


def test_a_lock_that_dvc_is_writing_is_one_error(trial, datastill):
    (trial / ".dvc/tmp").mkdir(parents=True)
    (trial / ".dvc/tmp/rwlock").write_text('{"write": {')
    answer = datastill("rm", "own", "--yes")
    assert answer.returncode == 1
    assert ".dvc/tmp/rwlock: expected JSON, found a part of it" in answer.stderr
    assert left() == [*FOLDERS]


@pytest.mark.slow
def test_it_goes_while_the_tracking_server_is_down(trial, datastill, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    params = yaml.safe_load(Path("pipelines/own/params.yaml").read_text())
    params["tracking"] |= {"uri": "http://127.0.0.1:9"}
    Path("pipelines/own/params.yaml").write_text(yaml.safe_dump(params))
    answer = datastill("rm", "own", "--yes")
    assert answer.returncode == 0, answer.stderr
    assert "MLflow cannot be reached: its runs stay" in answer.stdout
    assert "mlflow gc" not in answer.stdout
    assert left() == []


@pytest.mark.slow
def test_its_mlflow_runs_go_and_do_not_come_back_with_a_new_profile_of_that_name(trial, datastill):
    store = Store.of(open_profile("own"))
    text = Path("pipelines/own/params.yaml").read_text()
    mirror(store, RECORD)
    (store.artifacts / "a").mkdir(parents=True)
    other = Store(store.uri, "datastill/other", 60)
    mirror(other, RECORD)
    answer = datastill("rm", "own", "--yes")
    assert answer.returncode == 0, answer.stderr
    assert "MLflow: experiment datastill/own with 1 runs" in answer.stdout
    assert f"until `mlflow gc --backend-store-uri {store.uri} " in answer.stdout
    assert not store.artifacts.exists()
    assert len(runs(other)) == 1
    assert runs(store) == []
    Path("pipelines/own").mkdir()
    Path("pipelines/own/params.yaml").write_text(text)
    assert "with 0 runs" in datastill("rm", "own", "--yes").stdout
