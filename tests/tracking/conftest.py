"""A tracking database that the tests of mirroring share, with an experiment for each."""

from dataclasses import replace

import pytest
from mlflow_runs import RECORD

from datastill.tracking.store import Store
from datastill.tracking.sync import mirror


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("tracking") / "mlflow.db"


@pytest.fixture
def store(database, request):
    return Store(f"sqlite:///{database}", f"test/{request.node.name}", patience_seconds=30)


@pytest.fixture
def client(store):
    from mlflow import MlflowClient

    mirror(store, replace(RECORD, row="other"))  # a neighbour that nothing may touch
    return MlflowClient(store.uri)
