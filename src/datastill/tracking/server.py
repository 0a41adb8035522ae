"""MLflow's web server for a SQLite store, on this machine only."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Self

import requests

from datastill.errors import DatastillError
from datastill.tracking.store import Store

HOST = "127.0.0.1"
START_SECONDS = 180.0  # 20 to 60 on two busy cores
_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # more processes, for LLMs only


@dataclass(frozen=True)
class Server:
    """A server at `base`, such as http://127.0.0.1:5000; `process` only if it was started here."""

    base: str
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End a server that was started here."""
        if self.process:
            end(self.process)

    def wait(self) -> None:
        """Keep a server that was started here until Ctrl-C."""
        if self.process:
            with suppress(KeyboardInterrupt):
                self.process.wait()


def serve(store: Store, port: int, artifacts: str) -> Server:
    """Return the server that `store` is, one that serves it on `port` already, or a new one.

    artifacts  where the experiment keeps its files, by which to know a server of the same store
    Raises DatastillError if something else has the port, or if MLflow does not start.
    """
    if not store.database:
        if not store.uri.startswith(("http://", "https://")):
            raise DatastillError(
                "tracking.uri: expected SQLite or a server's http(s) address to open a page of"
            )
        return Server(store.uri.rstrip("/"))
    base = f"http://{HOST}:{port}"
    if _is_taken(port):
        if _artifacts(base, store.experiment) == artifacts:
            return Server(base)
        raise DatastillError(f"port {port} of {HOST} is taken; choose another one with --port")
    with tempfile.TemporaryFile() as log:
        return Server(base, _start(store, port, log))


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server that was started here, with the processes that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait()


def _start(store: Store, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.address]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(
        command,
        env={**_ENVIRONMENT, **os.environ},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        _await_answer(process, f"http://{HOST}:{port}/health", log)
    except BaseException:
        end(process)
        raise
    return process


def _await_answer(process: subprocess.Popen[bytes], address: str, log: IO[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(requests.RequestException):
            if _session().get(address, timeout=5).ok:
                return
        time.sleep(0.2)
    log.seek(0)
    last = log.read().decode(errors="replace").strip().splitlines()[-1:]
    reason = " ".join(last) or f"no answer within {START_SECONDS:g} s"
    raise DatastillError(f"MLflow's server did not start: {reason}")


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _artifacts(base: str, experiment: str) -> str | None:
    """Return where an experiment on a server keeps its files, None if the server lacks it."""
    address = f"{base}/api/2.0/mlflow/experiments/get-by-name"
    with suppress(requests.RequestException, ValueError, KeyError, TypeError):
        answer = _session().get(address, params={"experiment_name": experiment}, timeout=10)
        return str(answer.json()["experiment"]["artifact_location"])
    return None


def _session() -> requests.Session:
    """Return a session without the proxies of the environment, which do not know this machine."""
    session = requests.Session()
    session.trust_env = False
    return session
