"""Projects that share a tracking store, or have one of their own."""

import json
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from mlflow_runs import runs
from raw_params import read

from datastill.commands import track
from datastill.project.profile import open_profile
from datastill.tracking.project_id import project_id
from datastill.tracking.removal import forget, tracked
from datastill.tracking.run_record import REPORT
from datastill.tracking.store import Store, opened

CARD = {"fingerprint": "f1", "row": {}, "train": {}, "iterations": 500, "parameters": 7,
        "precision": "32-true", "device": "CPU", "code": "2bcaa66"}  # fmt: skip


@pytest.fixture
def uri(tmp_path):
    return f"sqlite:///{tmp_path}/shared/mlflow.db"


def sync(root, uri, attempt):
    """Sync a project at `root` with a page and the row co-35 of that attempt."""
    root.mkdir(exist_ok=True)
    raw = read() | {"tracking": {"uri": uri, "patience_seconds": 60}}
    (root / "params.yaml").write_text(yaml.safe_dump(raw))
    with chdir(root):
        profile = open_profile("miniature")
        profile.model("co-35").mkdir(parents=True, exist_ok=True)
        (profile.model("co-35") / "card.json").write_text(json.dumps(CARD | {"attempt": attempt}))
        profile.report.write_text(f"the page of {attempt}")
        track.run(profile)
        return project_id(profile), Store.of(profile)


def runs_of(store, row):
    return [run for run in runs(store) if run["row"] == row]


def pages(store):
    numbers = [run["run_id"] for run in runs_of(store, REPORT)]
    with opened(store) as client:
        files = [client.download_artifacts(number, "report.html") for number in numbers]
    return {Path(file).read_text() for file in files}


def test_projects_that_share_a_store_leave_each_others_runs_and_pages_alone(tmp_path, uri):
    first, store = sync(tmp_path / "a", uri, "a1")
    second, _ = sync(tmp_path / "b", uri, "b1")
    assert len({"", first, second}) == 3
    (a1, b1), reports = runs_of(store, "co-35"), runs_of(store, REPORT)
    (tmp_path / "a").rename(tmp_path / "moved")
    assert sync(tmp_path / "moved", uri, "a2")[0] == first
    left = [run["run_id"] for run in runs_of(store, "co-35")]
    assert (a1["run_id"] in left, b1["run_id"] in left, len(left)) == (False, True, 2)
    assert [run["run_id"] for run in reports] == [run["run_id"] for run in runs_of(store, REPORT)]
    assert pages(store) == {"the page of a2", "the page of b1"}


def test_a_training_that_another_project_has_mirrored_is_not_mirrored_twice(tmp_path, uri):
    _, store = sync(tmp_path / "a", uri, "a1")
    sync(tmp_path / "pulled", uri, "a1")
    assert len(runs_of(store, "co-35")) == 1


def test_a_profile_removed_from_a_shared_store_takes_only_its_own_runs(tmp_path, uri):
    _, store = sync(tmp_path / "a", uri, "a1")
    sync(tmp_path / "b", uri, "b1")
    with chdir(tmp_path / "a"):
        profile = open_profile("miniature")
        said = [f"MLflow: 2 runs of experiment {store.experiment}; 2 of other projects stay"]
        assert tracked(profile) == said
        forget(profile)
        assert tracked(profile) == []
    assert pages(store) == {"the page of b1"}
    with chdir(tmp_path / "b"):
        forget(profile)
    assert runs(store) == []


def test_a_store_in_the_projects_own_folder_needs_no_id(tmp_path):
    assert sync(tmp_path / "a", "sqlite:///mlflow.db", "a1")[0] == ""
    assert not (tmp_path / "a/work/miniature/project-id").exists()
