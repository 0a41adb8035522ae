"""Where records are mirrored to: a SQLite file or a tracking server, opened by one at a time."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from datastill.errors import DatastillError
from datastill.io import atomic

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds; MLflow's 120 with 7 retries last for minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}  # what the user's environment says goes first
SQLITE = "sqlite:///"
_turn = threading.Lock()


@dataclass(frozen=True)
class Store:
    """A tracking store and an experiment in it."""

    uri: str  # sqlite:///mlflow.db or the address of a tracking server
    experiment: str
    patience_seconds: float  # how long mirroring may keep a stage waiting at its end

    @property
    def database(self) -> Path | None:
        """The SQLite file, None for a server."""
        path = Path(self.uri.removeprefix(SQLITE))
        return path.absolute() if self.uri.startswith(SQLITE) else None

    @property
    def address(self) -> str:
        """The URI for MLflow, which remembers stores by it, whatever folder a process is in."""
        return f"{SQLITE}{self.database}" if self.database else self.uri


def client_class() -> type[MlflowClient]:
    """Import MLflow, which takes seconds, made quiet, impatient and discreet."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it tells every retry
    return MlflowClient


@contextmanager
def opened(store: Store) -> Iterator[MlflowClient]:
    """Yield a client; no other thread, and on SQLite no other process, is at work meanwhile.

    Raises DatastillError where MLflow fails inside the block.
    """
    client = client_class()
    from mlflow.exceptions import MlflowException

    try:
        with _turn, _locked(store.database):
            if store.database and not store.database.exists():
                _create(store.database)
            yield client(store.address)
    except MlflowException as error:
        raise DatastillError(f"MLflow: {error}") from error


@contextmanager
def _locked(database: Path | None) -> Iterator[None]:
    if database:
        database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock") if database else nullcontext():
        yield


def _create(database: Path) -> None:
    """Create the SQLite file under another name, then move it: dying must not leave half of one."""
    with atomic(database) as partial:
        for remnant in database.parent.glob(f"{partial.name}*"):
            remnant.unlink()
        client_class()(f"{SQLITE}{partial}").search_experiments(max_results=1)


def experiment_id(client: MlflowClient, store: Store) -> str:
    """Return the experiment's id, made or restored where it is not live.

    Artifacts of a new one on SQLite lie in `mlruns/` beside the file, wherever the process runs.
    """
    found = client.get_experiment_by_name(store.experiment)
    if found is None:
        beside = store.database and store.database.resolve().parent / "mlruns" / store.experiment
        return client.create_experiment(store.experiment, beside.as_uri() if beside else None)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)
