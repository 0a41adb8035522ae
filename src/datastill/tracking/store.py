"""The MLflow store of a profile: a SQLite file or a tracking server, with one writer at a time."""

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
from datastill.project.profile import Profile

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
}  # user-set variables take precedence
SQLITE = "sqlite:///"
_turn = threading.Lock()


@dataclass(frozen=True)
class Store:
    """A tracking store and an experiment in it."""

    uri: str  # sqlite:///mlflow.db or the address of a tracking server
    experiment: str
    patience_seconds: float  # how long mirroring may keep a stage waiting at its end

    @classmethod
    def of(cls, profile: Profile) -> "Store":
        tracking = profile.params.tracking
        return cls(tracking.uri, f"datastill/{profile.params.profile}", tracking.patience_seconds)

    @property
    def database(self) -> Path | None:
        """The SQLite file, None for a server."""
        path = self.uri.removeprefix(SQLITE)
        return Path(path).absolute() if path != self.uri else None

    @property
    def artifacts(self) -> Path | None:
        """The folder of the runs' files, in `mlruns/` beside the SQLite file; None for a server."""
        database = self.database
        return database and database.resolve().parent / "mlruns" / self.experiment

    @property
    def address(self) -> str:
        """The absolute URI: MLflow caches stores by URI, regardless of the working directory."""
        return f"{SQLITE}{self.database}" if self.database else self.uri


def client_class() -> type["MlflowClient"]:
    """Import MLflow, which takes seconds: without log noise, telemetry or long retries."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it logs every retry
    return MlflowClient


@contextmanager
def opened(store: Store) -> Iterator["MlflowClient"]:
    """Yield a client, locked against other threads and, on SQLite, other processes.

    Raises DatastillError if MLflow fails inside the block.
    """
    client, database = client_class(), store.database
    from mlflow.exceptions import MlflowException

    if database:
        database.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _turn, FileLock(f"{database}.lock") if database else nullcontext():
            if database and not database.exists():
                _create(database)
            yield client(store.address)
    except MlflowException as error:
        raise DatastillError(f"MLflow: {error}") from error


def _create(database: Path) -> None:
    """Create the SQLite file under another name, then rename it: a crash leaves no partial file."""
    with atomic(database) as partial:
        for remnant in database.parent.glob(f"{partial.name}*"):
            remnant.unlink()
        client_class()(f"{SQLITE}{partial}").search_experiments(max_results=1)


def experiment_id(client: "MlflowClient", store: Store) -> str:
    """Return the experiment's id; create it if it is absent, restore it if it is deleted.

    With SQLite, artifacts are in `mlruns/` beside the file, wherever the process runs.
    """
    experiment = client.get_experiment_by_name(store.experiment)
    if experiment is None:
        folder = store.artifacts
        return client.create_experiment(store.experiment, folder.as_uri() if folder else None)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)
