"""Removal of a profile from MLflow: its experiment with all runs, and its registered model."""

import time

from datastill.project.profile import Profile
from datastill.tracking.champion import registered_name
from datastill.tracking.store import Store, opened


def tracked(profile: Profile) -> list[str]:
    """Return a line for each thing that MLflow holds of a profile, except files of artifacts."""
    store, lines = Store.of(profile), []
    if store.database and not store.database.is_file():
        return []
    with opened(store) as client:
        experiment = client.get_experiment_by_name(store.experiment)
        if experiment and experiment.lifecycle_stage == "active":
            runs = client.search_runs([experiment.experiment_id])
            lines.append(f"MLflow: experiment {store.experiment} with {len(runs)} runs")
        if client.search_registered_models(f"name = '{registered_name(profile)}'"):
            lines.append(f"MLflow: registered model {registered_name(profile)}")
    return lines


def forget(profile: Profile) -> None:
    """Delete what `tracked` lists; the experiment's name is free again at once.

    MLflow marks runs as deleted; they stay in its database until `mlflow gc`.
    """
    store = Store.of(profile)
    with opened(store) as client:
        experiment = client.get_experiment_by_name(store.experiment)
        if experiment and experiment.lifecycle_stage == "active":
            former = f"{store.experiment} removed {time.time_ns()}"  # else a new one restores it
            client.rename_experiment(experiment.experiment_id, former)
            client.delete_experiment(experiment.experiment_id)
        for model in client.search_registered_models(f"name = '{registered_name(profile)}'"):
            client.delete_registered_model(model.name)
