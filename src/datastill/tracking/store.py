"""The MLflow store of a profile: a SQLite file or a tracking server, with one writer at a time."""

import logging
import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

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
_SECRET = re.compile(r"//[^/@\s]+@")  # name and password in an address
_PATIENCE_SECONDS = 60  # for another process that writes to the SQLite file
_LOCATIONS = {  # the columns in which MLflow's tables have absolute artifact locations
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
_turn = threading.Lock()


def without_password(text: str) -> str:
    """Return `text` with its addresses less their names and passwords."""
    return _SECRET.sub("//", text)


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
        return sqlite_uri(self.database) if self.database else self.uri


def sqlite_uri(database: Path) -> str:
    """Return the URI of a SQLite file, whose folders may have `?` or `%` in their names."""
    return SQLITE + str(database).replace("%", "%25").replace("?", "%3F")


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

    Artifacts of a project that was moved or copied are where it is now. Raises DatastillError if
    MLflow fails inside the block, or the SQLite file is damaged or locked for a minute.
    """
    client, database = client_class(), store.database
    from mlflow.exceptions import MlflowException

    if database:
        database.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = (
            FileLock(f"{database}.lock", timeout=_PATIENCE_SECONDS) if database else nullcontext()
        )
        with _turn, lock:
            if database and not database.exists():
                _create(database)
            elif database and store.artifacts:
                _relocate(database, store.experiment, store.artifacts.as_uri())
            yield client(store.address)
    except Timeout:
        advice = "another process writes to it; end that one and run the same command again"
        raise DatastillError(f"{database}: locked for {_PATIENCE_SECONDS} s; {advice}") from None
    except (sqlite3.Error, UnicodeDecodeError) as error:
        advice = "move it away, then `datastill track sync` makes another"
        raise DatastillError(f"{database}: not a usable SQLite file: {error}; {advice}") from None
    except MlflowException as error:
        raise DatastillError(f"MLflow: {without_password(str(error))}") from error


def _create(database: Path) -> None:
    """Create the SQLite file under another name, then rename it: a crash leaves no partial file."""
    with atomic(database) as partial:
        for remnant in database.parent.glob(f"{partial.name}*"):
            remnant.unlink()
        client_class()(sqlite_uri(partial)).search_experiments(max_results=1)


def _relocate(database: Path, experiment: str, artifacts: str) -> None:
    """Let the experiment's artifacts be at the URI `artifacts`: MLflow stored an absolute one."""
    with closing(sqlite3.connect(database, timeout=_PATIENCE_SECONDS)) as connection, connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        query = "SELECT artifact_location FROM experiments WHERE name = ?"
        row = (
            connection.execute(query, [experiment]).fetchone() if "experiments" in tables else None
        )
        if not row or not row[0] or row[0] == artifacts or not row[0].startswith("file:"):
            return
        for table, column in _LOCATIONS.items():
            if table in tables:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # ours
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    [artifacts, len(row[0]) + 1, row[0], len(row[0]) + 1, f"{row[0]}/"],
                )


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
