"""What MLflow holds, as plain data."""

from typing import Any

from datastill.tracking.store import Store, experiment_id, opened


def runs(store: Store) -> list[dict[str, Any]]:
    """Return every live run of the store's experiment, oldest first."""
    with opened(store) as client:
        order = ["attributes.start_time ASC"]
        live = client.search_runs([experiment_id(client, store)], order_by=order)
    return [
        {
            "row": run.data.tags.get("row", ""),
            "run_id": run.info.run_id,
            "status": run.info.status,
            "metrics": dict(run.data.metrics),
            "params": dict(run.data.params),
            "tags": dict(run.data.tags),
            "inputs": [
                {
                    "name": entry.dataset.name,
                    "digest": entry.dataset.digest,
                    "context": next((tag.value for tag in entry.tags), ""),
                }
                for entry in run.inputs.dataset_inputs
            ],
        }
        for run in live
    ]
