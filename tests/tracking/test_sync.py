"""What a record becomes in MLflow, whatever MLflow holds already."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache
from mlflow_runs import RECORD, losses, only, runs
from raw_params import read

from datastill.commands import track
from datastill.errors import DatastillError
from datastill.project.profile import Profile
from datastill.project.schema import Params
from datastill.tracking.live import mirror_patiently
from datastill.tracking.store import Store, experiment_id, opened
from datastill.tracking.sync import NOTE, STATE, mirror


def test_a_row_mirrored_twice_is_one_finished_run(store, client):
    first = mirror(store, RECORD)
    before = client.get_run(first).to_dictionary()
    assert mirror(store, RECORD) == first
    assert client.get_run(first).to_dictionary() == before
    run = only(store)
    assert run["status"] == "FINISHED"
    assert run["metrics"]["val/keypoints/ap"] == 29.6
    assert run["params"] == {"train.iterations": "30", "train.rate": "0.02"}
    assert run["tags"].items() >= {"role": "supervised", "row": "co-35", "seed": "7"}.items()
    assert run["tags"]["mlflow.runName"] == "co-35"


def test_another_attempt_or_fingerprint_supersedes_the_run(store, client):
    first = mirror(store, RECORD)
    forced = mirror(store, replace(RECORD, attempt="a2", history=[]))
    changed = mirror(store, replace(RECORD, fingerprint="f2", metrics={}))
    assert len({first, forced, changed}) == 3
    assert only(store)["run_id"] == changed
    assert client.get_run(first).info.lifecycle_stage == "deleted"
    assert {run["row"] for run in runs(store)} == {"co-35", "other"}


def test_in_a_shared_store_a_run_of_no_known_project_stays(store, client):
    former = mirror(store, RECORD)
    latter = mirror(store, replace(RECORD, attempt="a2", project="p"))
    assert [run["run_id"] for run in runs(store) if run["row"] == "co-35"] == [former, latter]


def test_a_run_of_an_earlier_version_is_superseded_and_leaves_no_name_of_a_metric(store, client):
    """Earlier versions kept their state in visible tags and had spaces in names of metrics."""
    identity = {"row": "co-35", **RECORD.identity(), "datastill.mirrored": '{"loss": 20}'}
    with opened(store) as opened_client:
        number = experiment_id(opened_client, store)
    old = client.create_run(number, tags=identity, run_name="co-35").info.run_id
    client.log_metric(old, "val/keypoints/ap low", 27.0)
    mirror(store, RECORD)
    run = only(store)
    assert run["run_id"] != old
    assert client.get_run(old).info.lifecycle_stage == "deleted"
    assert not [name for name in run["metrics"] if " " in name]
    assert losses(client, run["run_id"]) == [(10, 3.0), (20, 2.0)]


def test_of_its_own_state_a_run_shows_nothing(store, client):
    """MLflow's page hides tags that begin with mlflow."""
    mirror(store, RECORD)
    shown = {tag for tag in only(store)["tags"] if not tag.startswith("mlflow.")}
    assert shown == {"row", "role", "seed"}


def test_a_description_follows_the_row_until_someone_edits_it(store, client):
    for text in ("trained.", "trained. AP 29.60."):
        run_id = mirror(store, replace(RECORD, description=text))
        assert only(store)["tags"][NOTE] == text
    client.set_tag(run_id, NOTE, "the one to use")
    mirror(store, replace(RECORD, description="other"))
    assert only(store)["tags"][NOTE] == "the one to use"


def test_a_resume_continues_the_run_that_a_crash_left_running(store, client):
    crashed = mirror(store, replace(RECORD, status="RUNNING", metrics={}))
    again = [{"step": 20, "loss": 2.1, "rate": 0.1}, {"step": 30, "loss": 1.0, "rate": 0.01}]
    resumed = mirror(store, replace(RECORD, history=[*RECORD.history, *again]))
    assert resumed == crashed
    assert only(store)["status"] == "FINISHED"
    assert losses(client, resumed) == [(10, 3.0), (20, 2.0), (30, 1.0)]


def test_a_metric_that_comes_later_to_a_step_is_not_lost(store, client):
    mirror(store, RECORD)
    late = [*RECORD.history, {"step": 20, "val": 0.5}]
    run_id = mirror(store, replace(RECORD, history=late))
    assert losses(client, run_id, "val") == [(20, 0.5)]
    assert losses(client, run_id) == [(10, 3.0), (20, 2.0)]


def test_points_sent_but_not_marked_before_a_crash_are_not_doubled(store, client):
    run_id = mirror(store, RECORD)
    state = json.loads(client.get_run(run_id).data.tags[STATE])
    client.set_tag(run_id, STATE, json.dumps({key: state[key] for key in RECORD.identity()}))
    mirror(store, RECORD)
    assert losses(client, run_id) == [(10, 3.0), (20, 2.0)]


def test_a_long_history_arrives_whole_with_its_times(store, client):
    history = [{"step": i, "loss": 1 / (i + 1), "time": 1e9 + i} for i in range(2500)]
    run_id = mirror(store, replace(RECORD, history=history))
    points = client.get_metric_history(run_id, "loss")
    assert len(points) == 2500
    assert points[7].timestamp == 1_000_000_007_000
    info = client.get_run(run_id).info
    assert (info.start_time, info.end_time) == (1_000_000_000_000, 1_000_002_499_000)


def test_a_corrected_final_metric_replaces_the_old_one(store, client):
    mirror(store, RECORD)
    mirror(store, replace(RECORD, metrics={"val/keypoints/ap": 12.5}))
    assert only(store)["metrics"]["val/keypoints/ap"] == 12.5


def test_a_metric_that_is_not_a_number_does_not_pile_up(store, client):
    for _ in range(2):
        run_id = mirror(store, replace(RECORD, metrics={"val/keypoints/ap": float("nan")}))
    assert len(losses(client, run_id, "val/keypoints/ap")) == 1


def test_a_changed_param_is_told_and_survived(store, client, caplog):
    mirror(store, RECORD)
    mirror(store, replace(RECORD, params={"train.rate": 0.5, "new": "x" * 9000}))
    assert "MLflow keeps the old train.rate of row co-35" in caplog.text
    params = only(store)["params"]
    assert params["train.rate"] == "0.02"
    assert len(params["new"]) == 6000


def test_inputs_carry_their_contexts_once(store, client):
    mirror(store, RECORD)
    mirror(store, RECORD)
    inputs = only(store)["inputs"]
    assert {entry["name"]: entry["context"] for entry in inputs} == {
        "co-35": "labelled",
        "val": "val",
    }
    assert len(inputs) == 2
    assert {"a" * 64, "b" * 64} >= {entry["digest"] + entry["digest"][:28] for entry in inputs}


def test_artifacts_come_back_as_they_are_now(store, client, database, tmp_path):
    card, absent = tmp_path / "here" / "card.json", tmp_path / "absent.png"
    card.parent.mkdir()
    artifacts = {"card.json": card, "plots/loss.png": absent}
    for text in ('{"a": 1}', '{"a": 2}'):
        card.write_text(text)
        run_id = mirror(store, replace(RECORD, artifacts=artifacts))
        assert [entry.path for entry in client.list_artifacts(run_id)] == ["card.json"]
        downloaded = Path(client.download_artifacts(run_id, "card.json", str(tmp_path)))
        assert downloaded.read_text() == text
    assert (database.parent / "mlruns" / store.experiment / run_id).is_dir()


def test_a_moved_project_tracks_into_itself(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "card.json").write_text("{}")
    record = replace(RECORD, artifacts={"card.json": tmp_path / "card.json"})
    run_id = mirror(Store(f"sqlite:///{tmp_path}/old/mlflow.db", "datastill/a", 30), record)
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "card.json").write_text("[]")
    _artifact_repos_cache.clear()  # another process, as a rule, goes on
    moved = Store(f"sqlite:///{tmp_path}/new/mlflow.db", "datastill/a", 30)
    assert mirror(moved, record) == run_id
    assert not (tmp_path / "old").exists()
    with opened(moved) as client:
        assert client.get_run(run_id).info.artifact_uri.startswith(moved.artifacts.as_uri())
        downloaded = Path(client.download_artifacts(run_id, "card.json", str(tmp_path)))
    assert downloaded.read_text() == "[]"


@pytest.mark.slow
def test_a_project_whose_path_looks_like_an_address_is_tracked(tmp_path, monkeypatch):
    folder = tmp_path / "ü a%20b?c#d"
    folder.mkdir()
    monkeypatch.chdir(folder)
    store = Store("sqlite:///mlflow.db", "datastill/test", 30)
    (folder / "a.txt").write_text("a")
    mirror(store, replace(RECORD, artifacts={"a.txt": Path("a.txt")}))
    assert only(store)["status"] == "FINISHED"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(folder in path.parents for path in files)  # MLflow makes an empty folder beside it
    assert [*folder.glob("mlruns/datastill/test/*/artifacts/a.txt")]


def test_a_database_that_is_none_or_stays_locked_is_one_message(tmp_path, monkeypatch):
    database = tmp_path / "mlflow.db"
    database.write_bytes(b"no database at all" * 100)
    garbage = Store(f"sqlite:///{database}", "datastill/a", 30)
    with pytest.raises(DatastillError, match=r"mlflow\.db: not a usable SQLite file: file is not"):
        mirror(garbage, RECORD)
    monkeypatch.setattr("datastill.tracking.store._PATIENCE_SECONDS", 0.1)
    with FileLock(f"{database}.lock"), pytest.raises(DatastillError, match=r"locked for 0\.1 s"):
        mirror(garbage, RECORD)


def test_an_experiment_deleted_by_hand_comes_back(store, client):
    mirror(store, RECORD)
    client.delete_experiment(client.get_experiment_by_name(store.experiment).experiment_id)
    mirror(store, RECORD)
    assert only(store)["status"] == "FINISHED"


@pytest.mark.parametrize("name", ["loss@50", "AP[0.5]", "/loss", "a//b", "../loss", ""])
def test_a_name_that_mlflow_refuses_is_told_before_anything_is_sent(store, name):
    with pytest.raises(DatastillError, match="MLflow refuses the name"):
        mirror(store, replace(RECORD, metrics={name: 1.0}))
    with pytest.raises(DatastillError, match="MLflow refuses the name"):
        mirror(store, replace(RECORD, history=[{"step": 1, name: 1.0}]))
    assert not mirror_patiently(store, lambda: replace(RECORD, metrics={name: 1.0}))


def test_a_password_in_an_address_is_not_printed(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = Store("http://me:secret@127.0.0.1:9/", "datastill/a", 30)
    with pytest.raises(DatastillError, match="MLflow: ") as refusal:
        mirror(server, RECORD)
    assert "secret" not in str(refusal.value)
    raw = read() | {"tracking": {"uri": server.uri, "patience_seconds": 1}}
    monkeypatch.setattr(track, "mirror_report", lambda _: False)
    with pytest.raises(DatastillError, match=r"//127\.0\.0\.1:9/: not mirrored: ") as refusal:
        track.run(Profile(Params.model_validate(raw)))
    assert "secret" not in str(refusal.value)
