"""The best model of an experiment, in MLflow's registry under the alias `champion`."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from datastill.io import digest
from datastill.tracking.run_record import RunRecord
from datastill.tracking.store import Store, opened
from datastill.tracking.sync import mirror

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "champion"
WEIGHTS, CARD = "weights", "card"  # tags of a version that say what it is
_CODE = Path(__file__).with_name("pyfunc.py")
_NEEDED = ("torch", "torchvision", "pycocotools", "safetensors", "pillow", "pandas", "pyarrow")


@dataclass(frozen=True)
class Champion:
    """A model to register.

    name     in the registry
    weights  SHA-256 of its weights
    ap       on val, in percent
    folder   the exported model
    """

    name: str
    weights: str
    ap: float
    folder: Path

    def identity(self) -> dict[str, str]:
        """Return what makes it another model: its weights, or how they are used and measured."""
        return {WEIGHTS: self.weights, CARD: digest(self.folder / "card.json")}


def promote(store: Store, record: RunRecord, champion: Champion) -> str:
    """Log the model with the run of `record` and give it the alias; return its version.

    A model that has the alias already is not logged again. Raises DatastillError where the store
    fails.
    """
    run_id = mirror(store, record)
    with opened(store) as client:
        number = _reigning(client, champion)
        if number is None:
            number = _log(store, run_id, champion)
            tags = {"row": record.row, "ap": str(champion.ap), **champion.identity()}
            for key, value in tags.items():
                client.set_model_version_tag(champion.name, number, key, value)
            client.set_registered_model_alias(champion.name, ALIAS, number)
        return number


def _reigning(client: MlflowClient, champion: Champion) -> str | None:
    """Return the version that has the alias, if it is this very model."""
    found = client.search_registered_models(f"name = '{champion.name}'")
    number = found[0].aliases.get(ALIAS) if found else None
    if number is None:
        return None
    held = client.get_model_version(champion.name, number)
    return str(number) if champion.identity().items() <= held.tags.items() else None


def _log(store: Store, run_id: str, champion: Champion) -> str:
    import mlflow
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    mlflow.set_tracking_uri(store.address)
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # it misses pip
    # MLflow advises to describe the input that the signature describes; failures are raised.
    with mlflow.start_run(run_id=run_id), redirect_stderr(io.StringIO()):
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_CODE),
            signature=ModelSignature(
                inputs=Schema([ColSpec(DataType.string, "image")]),
                params=ParamSchema([ParamSpec("views", DataType.long, 1)]),
            ),
            artifacts={"model": str(champion.folder)},
            pip_requirements=[f"{name}=={version(name)}" for name in _NEEDED],
            code_paths=[str(_CODE.parents[1])],
            registered_model_name=champion.name,
        )
    return str(logged.registered_model_version)
