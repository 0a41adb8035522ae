"""The best model of an experiment, in MLflow's registry under the alias `champion`."""

import io
import logging
from contextlib import redirect_stderr
from importlib.metadata import version
from pathlib import Path

from datastill.io import digest
from datastill.project.profile import Profile
from datastill.tracking.run_record import read_record
from datastill.tracking.store import Store, opened
from datastill.tracking.sync import mirror

_CODE = Path(__file__).with_name("pyfunc.py")
_NEEDED = ("torch", "torchvision", "pycocotools", "safetensors", "pillow", "pandas", "pyarrow")


def registered_name(profile: Profile) -> str:
    """Return the name of the profile's model in the registry."""
    return f"datastill-{profile.params.profile}"


def promote(profile: Profile, row: str, ap: float, folder: Path) -> str:
    """Register the exported model in `folder` with the run of `row`, as champion.

    Returns its version; a model that is already the champion is not logged again: a model is
    identified by its weights, and how they are used and measured (its card). `ap` is in percent.
    Raises DatastillError if the store fails.
    """
    store, name = Store.of(profile), registered_name(profile)
    identity = {"weights": digest(profile.weights(row)), "card": digest(folder / "card.json")}
    run_id = mirror(store, read_record(profile, row))
    with opened(store) as client:
        models = client.search_registered_models(f"name = '{name}'")
        number = models[0].aliases.get("champion") if models else None
        if number and identity.items() <= client.get_model_version(name, number).tags.items():
            return str(number)
        number = _log(store, run_id, name, folder)
        for key, value in {"row": row, "ap": str(ap), **identity}.items():
            client.set_model_version_tag(name, number, key, value)
        client.set_registered_model_alias(name, "champion", number)
        return number


def _log(store: Store, run_id: str, name: str, folder: Path) -> str:
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    inputs = Schema([ColSpec(DataType.string, "image")])
    views = ParamSchema([ParamSpec("views", DataType.long, 1)])
    mlflow.set_tracking_uri(store.address)
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # it warns about pip
    # MLflow advises to describe the input that the signature describes; failures are raised.
    with mlflow.start_run(run_id=run_id), redirect_stderr(io.StringIO()):
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_CODE),
            signature=ModelSignature(inputs, params=views),
            artifacts={"model": str(folder)},
            pip_requirements=[f"{package}=={version(package)}" for package in _NEEDED],
            code_paths=[str(_CODE.parents[1])],
            registered_model_name=name,
        )
    return str(logged.registered_model_version)
