import json
import logging
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow_runs import runs

from datastill.errors import DatastillError
from datastill.tracking.live import follow, mirror_patiently
from datastill.tracking.run_record import DataInput, RunRecord
from datastill.tracking.store import Store
from datastill.tracking.sync import mirror

RECORD = RunRecord(
    row="co-35",
    fingerprint="f1",
    attempt="a1",
    tags={"role": "supervised", "seed": "7"},
    params={"train.iterations": 30, "train.rate": 0.02},
    history=[{"step": 10, "loss": 3.0, "rate": 0.1}, {"step": 20, "loss": 2.0, "rate": 0.1}],
    metrics={"val/keypoints/ap": 29.6},
    inputs=[
        DataInput("co-35", "a" * 64, "work/data/co-35.json", "labelled", {"images": 150}),
        DataInput("val", "b" * 64, "work/data/val.json", "val", {"images": 400}),
    ],
    status="FINISHED",
)
SHARED = RunRecord("co-35", "f1", status="FINISHED")
PROGRAM = """
import sys
from datastill.tracking.run_record import RunRecord
from datastill.tracking.store import Store
from datastill.tracking.live import mirror_patiently
store = Store(sys.argv[1], "datastill/test", patience_seconds=float(sys.argv[2]))
print(mirror_patiently(store, lambda: RunRecord("co-35", "f1", status="FINISHED")), flush=True)
"""


def program(uri, patience_seconds):
    command = [sys.executable, "-c", PROGRAM, uri, str(patience_seconds)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    process = program(f"sqlite:///{path}", 60)  # both meet a database that is not there yet
    mirror(Store(f"sqlite:///{path}", "datastill/test", 60), SHARED)
    assert process.communicate(timeout=90) == ("True\n", "")
    return path


@pytest.fixture
def store(database, request):
    return Store(f"sqlite:///{database}", f"test/{request.node.name}", patience_seconds=30)


@pytest.fixture
def client(store):
    from mlflow import MlflowClient

    mirror(store, replace(RECORD, row="other"))  # a neighbour that nothing may touch
    return MlflowClient(store.uri)


def only(store, row="co-35"):
    (run,) = [run for run in runs(store) if run["row"] == row]
    return run


def wait_for_loss(store, value):
    end = time.monotonic() + 10
    while only(store)["metrics"].get("loss") != value:
        assert time.monotonic() < end
        time.sleep(0.05)


def losses(client, run_id, name="loss"):
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]


def test_two_programs_that_meet_a_new_database_share_it_and_the_run(database):
    assert only(Store(f"sqlite:///{database}", "datastill/test", 30))["status"] == "FINISHED"
    assert not list(database.parent.glob("*.partial*"))


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
    client.delete_tag(run_id, "datastill.mirrored")
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


def test_a_follower_mirrors_the_journal_while_it_grows(store, client):
    history = []
    with follow(store, lambda: replace(RECORD, history=list(history)), every_seconds=0.05):
        for step in (1, 2):
            history.append({"step": step, "loss": 1 / step})
            wait_for_loss(store, 1 / step)
    assert only(store)["status"] == "RUNNING"
    assert mirror_patiently(store, lambda: replace(RECORD, history=history))
    assert only(store)["status"] == "FINISHED"
    assert losses(client, only(store)["run_id"]) == [(1, 1.0), (2, 0.5)]


@pytest.mark.parametrize(("error", "status"), [(OSError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_training_that_dies_is_seen_as_dead(store, client, error, status):
    with pytest.raises(error), follow(store, lambda: RECORD):
        raise error
    assert only(store)["status"] == status


def test_a_follower_whose_record_cannot_be_read_says_so_once(store, caplog):
    with follow(store, lambda: json.loads("{"), every_seconds=0.01):
        time.sleep(0.2)
    assert len(caplog.records) == 1
    assert "results are safe on disk" in caplog.text


def test_a_finished_training_whose_record_cannot_be_read_is_told_of_in_a_warning(store, caplog):
    assert not mirror_patiently(store, lambda: json.loads("{"))
    assert "results are safe on disk" in caplog.text


@pytest.fixture(params=["closed", "silent"])
def lost_server(request, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # else the next test waits for its turn
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        if request.param == "closed":
            server.close()
        yield address


def test_a_lost_server_costs_no_more_than_the_patience(lost_server, caplog):
    caplog.set_level(logging.WARNING)
    store = Store(lost_server, "datastill/miniature", patience_seconds=0.5)
    start = time.monotonic()
    with follow(store, lambda: RECORD, every_seconds=0.01):
        entered = time.monotonic()
        time.sleep(0.1)
    assert time.monotonic() - entered < 3
    ended = time.monotonic()
    assert not mirror_patiently(store, lambda: RECORD)
    assert time.monotonic() - ended < 1.5
    assert entered - start < 15
    assert "`datastill track sync`" in caplog.text


def test_a_program_ends_though_its_server_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = program(f"http://127.0.0.1:{server.getsockname()[1]}", 6)
        assert process.stdout.readline() == "False\n"
        start = time.monotonic()
        _, errors = process.communicate(timeout=30)
    assert time.monotonic() - start < 3
    assert errors.count("\n") == 1
    assert errors.startswith("tracking datastill/test: ")
