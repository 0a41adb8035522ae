"""A record to mirror, and what MLflow holds, as plain data."""

from typing import Any

from datastill.tracking.run_record import DataInput, RunRecord
from datastill.tracking.store import Store, experiment_id, opened

RECORD = RunRecord(
    row="co-35",
    fingerprint="f1",
    attempt="a1",
    tags={"role": "supervised", "seed": "7"},
    params={"train.iterations": 30, "train.rate": 0.02},
    history=[{"step": 10, "loss": 3.0, "rate": 0.1}, {"step": 20, "loss": 2.0, "rate": 0.1}],
    metrics={"val/keypoints/ap": 29.6},
    inputs=[
        DataInput("co-35", "a" * 64, "work/data/co-35.json", "labelled", {"images": 150}),
        DataInput("val", "b" * 64, "work/data/val.json", "val", {"images": 400}),
    ],
    status="FINISHED",
)


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


def only(store: Store, row: str = "co-35") -> dict[str, Any]:
    (run,) = [run for run in runs(store) if run["row"] == row]
    return run


def losses(client, run_id, name="loss"):
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]
