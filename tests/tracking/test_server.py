"""MLflow's own server on a real store, and its page in a real browser."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from mlflow_runs import RECORD
from places import ROOT

from datastill.commands import track_open
from datastill.errors import DatastillError
from datastill.project.profile import open_profile
from datastill.tracking import server
from datastill.tracking.server import HOST, Server, end, serve
from datastill.tracking.store import Store
from datastill.tracking.sync import mirror

APS = {"co-35": 21.37, "co-115": 36.54}
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def opened_page(tmp_path_factory, database):
    """The address of the miniature's page, its server, port and profile, with runs of two rows."""
    project, port = tmp_path_factory.mktemp("project"), free_port()
    text = (ROOT / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("mlflow.db", str(database)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        profile = open_profile("miniature")
        for row, ap in APS.items():
            metrics = {"val/keypoints/ap": ap, "train/loss": 1.0}
            mirror(Store.of(profile), replace(RECORD, row=row, metrics=metrics))
        address, running = track_open.run(profile, port)
        yield address, running, port, profile
    end(running.process)


@pytest.mark.slow
def test_the_page_is_served_to_this_machine_alone(opened_page):
    address, running, port, _ = opened_page
    assert address.startswith(f"http://127.0.0.1:{port}/#/experiments/")
    assert requests.get(running.base, timeout=10).ok
    with socket.socket() as other:  # a server on all addresses would answer here too
        assert other.connect_ex(("127.0.0.2", port)) != 0


@pytest.mark.slow
def test_a_store_that_is_served_is_not_served_again_and_another_one_is_refused(opened_page):
    _, running, port, profile = opened_page
    address, second = track_open.run(profile, port)
    assert (address, second) == (opened_page[0], Server(running.base))
    with pytest.raises(DatastillError, match=f"port {port} of 127.0.0.1 is taken; .*--port"):
        serve(Store.of(profile), port, "file:///elsewhere")


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium: nobody has looked at MLflow's page")
def test_a_browser_shows_the_ap_of_all_rows_without_a_click(opened_page, tmp_path):
    options = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--window-size=1440,900", "--virtual-time-budget=20000", "--timeout=60000",
        f"--user-data-dir={tmp_path}", "--dump-dom",
    ]  # fmt: skip
    seen = subprocess.run([CHROMIUM, *options, opened_page[0]], capture_output=True, text=True)
    for row, ap in APS.items():
        assert f">{row}<" in seen.stdout
        assert str(ap) in seen.stdout
    assert "AP of all rows" in seen.stdout
    assert seen.stdout.index(">co-115<") < seen.stdout.index(">co-35<")


def test_a_tracking_server_needs_no_other_server():
    remote = serve(Store("https://mlflow.example/", "datastill/own", 1), 5000, "")
    assert remote == Server("https://mlflow.example")
    remote.wait()
    with pytest.raises(DatastillError, match="expected SQLite or a server's"):
        serve(Store("postgresql://me:secret@example/runs", "datastill/own", 1), 5000, "")


def hang_up(listener, calls=2):
    for _ in range(calls):
        listener.accept()[0].close()


def test_a_port_that_something_else_has_is_one_error(tmp_path):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        threading.Thread(target=hang_up, args=(taken,), daemon=True).start()
        with pytest.raises(DatastillError, match=f"port {port} .*--port"):
            serve(Store(f"sqlite:///{tmp_path}/a.db", "a", 1), port, "")


def program(folder: Path, text: str) -> str:
    """The path of a program that takes the place of Python's, to start without MLflow."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_server_that_does_not_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", program(tmp_path, "raise SystemExit('no such table')"))
    with pytest.raises(DatastillError, match="did not start: no such table"):
        serve(Store(f"sqlite:///{tmp_path}/a.db", "a", 1), free_port(), "")


def test_a_server_that_never_answers_is_ended(tmp_path, monkeypatch):
    text = f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
    monkeypatch.setattr(sys, "executable", program(tmp_path, text + "time.sleep(60)"))
    monkeypatch.setattr(server, "START_SECONDS", 1.0)
    with pytest.raises(DatastillError, match="did not start: no answer within 1 s"):
        serve(Store(f"sqlite:///{tmp_path}/a.db", "a", 1), free_port(), "")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_ctrl_c_ends_the_server_quietly(monkeypatch):
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    interrupt = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    with Server("http://127.0.0.1:5000", process) as server:
        server.wait()
    assert process.returncode == -signal.SIGTERM
