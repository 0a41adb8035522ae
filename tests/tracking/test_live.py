"""Mirroring while a training run lasts, and while no server answers."""

import json
import logging
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from mlflow_runs import RECORD, losses, only, runs

from datastill.tracking.live import follow, mirror_patiently
from datastill.tracking.run_record import RunRecord
from datastill.tracking.store import Store
from datastill.tracking.sync import mirror

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


def wait_for_loss(store, value):
    end = time.monotonic() + 30
    while value not in [run["metrics"].get("loss") for run in runs(store) if run["row"] == "co-35"]:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_two_programs_that_meet_a_new_database_share_it_and_the_run(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", "datastill/test", 60)
    process = program(store.uri, 60)
    mirror(store, RunRecord("co-35", "f1", status="FINISHED"))
    assert process.communicate(timeout=90) == ("True\n", "")
    assert only(store)["status"] == "FINISHED"
    assert not list(tmp_path.glob("*.partial*"))


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


def test_a_finished_training_whose_record_cannot_be_read_costs_a_warning(store, caplog):
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


@pytest.mark.slow
def test_a_program_ends_though_its_server_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = program(f"http://127.0.0.1:{server.getsockname()[1]}", 6)
        assert process.stdout.readline() == "False\n"
        start = time.monotonic()
        _, errors = process.communicate(timeout=30)
    assert time.monotonic() - start < 10  # MLflow's own patience is twice that
    assert errors.count("\n") == 1
    assert errors.startswith("tracking datastill/test: ")
