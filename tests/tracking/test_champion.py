"""The champion in MLflow's registry, served over HTTP as anyone would serve it."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from mlflow_runs import runs

from datastill.commands import export
from datastill.commands.predict import run
from datastill.commands.predictors import find_predictor
from datastill.tracking.store import Store

MODEL = "models:/datastill-miniature@champion"
IMAGE = "hands/val/041.jpg"


@pytest.fixture
def client(profile):
    from mlflow import MlflowClient

    return MlflowClient(Store.of(profile).address)


@pytest.fixture
def champion(profile, tmp_path):
    """What is printed where the best row has become the champion."""
    return export.run(profile, "best", tmp_path / "best", champion=True)


def test_the_best_row_becomes_the_champion_and_belongs_to_its_run(profile, client, champion):
    version = client.get_model_version_by_alias("datastill-miniature", "champion")
    card = json.loads((profile.metrics(export.best(profile))).read_text())
    assert version.tags["row"] == export.best(profile)
    assert float(version.tags["ap"]) == card["ap"]
    assert version.tags["weights"] == card["provenance"]["weights"]
    (run_of_row,) = [r for r in runs(Store.of(profile)) if r["row"] == export.best(profile)]
    assert version.run_id == run_of_row["run_id"]
    assert run_of_row["status"] == "FINISHED"
    assert MODEL in champion
    logged = {path.suffix for path in Path("mlruns").rglob("*") if path.is_file()}
    assert ".safetensors" in logged
    assert not logged & {".pkl", ".pickle", ".pt", ".pth", ".bin"}


def test_the_same_champion_is_not_logged_twice_and_another_one_takes_its_place(
    profile, client, champion, tmp_path
):
    (other,) = {"teacher", "student"} - {export.best(profile)}
    name = "datastill-miniature"
    first = client.get_model_version_by_alias(name, "champion").version
    export.run(profile, "best", tmp_path / "again", champion=True)
    assert client.get_model_version_by_alias(name, "champion").version == first
    told = export.run(profile, other, tmp_path / "other", champion=True)
    assert f"{export.best(profile)} has a higher AP" in told
    second = client.get_model_version_by_alias(name, "champion")
    assert int(second.version) > int(first)
    assert second.tags["row"] == other


def test_the_same_weights_used_or_measured_otherwise_are_another_champion(
    profile, client, champion, tmp_path
):
    name = "datastill-miniature"
    first = client.get_model_version_by_alias(name, "champion")
    views = profile.params.views.model_copy(update={"plain_short_side": 96})
    larger = replace(profile, params=profile.params.model_copy(update={"views": views}))
    export.run(larger, "best", tmp_path / "larger", champion=True)
    second = client.get_model_version_by_alias(name, "champion")
    assert int(second.version) > int(first.version)
    assert second.tags["weights"] == first.tags["weights"]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def served(profile, champion):
    """The address of the champion, served by MLflow's own command."""
    port = free_port()
    command = [
        Path(sys.executable).parent / "mlflow", "models", "serve", "-m", MODEL,
        "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port),
    ]  # fmt: skip
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": programs,
        "MLFLOW_TRACKING_URI": Store.of(profile).address,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (profile.work / "serve.log").open("w") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    yield f"http://127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=30)


def answers(address, deadline):
    while time.monotonic() < deadline:
        try:
            return requests.get(f"{address}/ping", timeout=2).ok
        except requests.ConnectionError:
            time.sleep(0.3)
    return False


def test_served_by_mlflow_it_sees_what_the_command_sees(profile, served):
    """The one test that waits for a server: about 10 s of imports on an idle machine."""
    assert answers(served, time.monotonic() + 150), (profile.work / "serve.log").read_text()[-3000:]
    row = export.best(profile)
    jpeg = base64.b64encode(Path(IMAGE).read_bytes()).decode()
    for param, views in ((1, 1), (4, 4), (0, None)):
        asked = {
            "dataframe_records": [{"image": jpeg}, {"image": jpeg}],
            "params": {"views": param},
        }
        answer = requests.post(f"{served}/invocations", json=asked, timeout=60)
        assert answer.ok, answer.text
        first, second = answer.json()["predictions"]
        expected = json.loads(run(find_predictor(row, "miniature", views), [IMAGE], None, None))
        assert first == second
        assert [r["bbox"] for r in first] == [r["bbox"] for r in expected]
        assert [r["keypoints"] for r in first] == [r["keypoints"] for r in expected]
        assert first
    broken = {"dataframe_records": [{"image": "not base64!"}]}
    answer = requests.post(f"{served}/invocations", json=broken, timeout=60)
    assert answer.status_code == 400
    assert "expected a file in base64" in answer.text
