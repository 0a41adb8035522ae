"""Removal of a profile from MLflow: its runs, and the experiment and registered model of these."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datastill.project.profile import Profile
from datastill.tracking.champion import registered_name
from datastill.tracking.project_id import project_id
from datastill.tracking.store import Store, opened
from datastill.tracking.sync import project_of

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class _Contents:
    """What MLflow holds of a profile, by id, and how many runs of other projects beside it."""

    experiment: str | None
    runs: list[str]
    others: int
    models: list[str]


def tracked(profile: Profile) -> list[str]:
    """Return a line for each thing that MLflow holds of a profile, except files of artifacts."""
    store = Store.of(profile)
    if store.database and not store.database.is_file():
        return []
    with opened(store) as client:
        contents = _contents(client, store, profile)
    models = [f"MLflow: registered model {name}" for name in contents.models]
    count, others = len(contents.runs), contents.others
    if others:
        text = f"MLflow: {count} runs of experiment {store.experiment}; {others} of other projects"
        return [f"{text} stay", *models] if count else models
    text = f"MLflow: experiment {store.experiment} with {count} runs"
    return [text, *models] if contents.experiment else models


def forget(profile: Profile) -> None:
    """Delete what `tracked` lists; the experiment's name is free again at once.

    MLflow marks runs as deleted; they stay in its database until `mlflow gc`.
    """
    store = Store.of(profile)
    with opened(store) as client:
        contents = _contents(client, store, profile)
        if contents.others:
            for run in contents.runs:
                client.delete_run(run)
        elif contents.experiment:
            former = f"{store.experiment} removed {time.time_ns()}"  # else a new one restores it
            client.rename_experiment(contents.experiment, former)
            client.delete_experiment(contents.experiment)
        for name in contents.models:
            client.delete_registered_model(name)


def _contents(client: "MlflowClient", store: Store, profile: Profile) -> _Contents:
    named, project = client.get_experiment_by_name(store.experiment), project_id(profile)
    experiment = named.experiment_id if named and named.lifecycle_stage == "active" else None
    runs = client.search_runs([experiment]) if experiment else []
    own = [str(run.info.run_id) for run in runs if not project or project_of(run) == project]
    models = [
        model.name
        for model in client.search_registered_models(f"name = '{registered_name(profile)}'")
        if not project
        or {version.run_id for version in client.search_model_versions(f"name = '{model.name}'")}
        <= {*own}
    ]
    return _Contents(experiment, own, len(runs) - len(own), models)
