"""One record into one run: send what the store lacks, replace what the record supersedes."""

from __future__ import annotations

import json
import logging
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from datastill.io import digest
from datastill.tracking.run_record import DataInput, RunRecord, check
from datastill.tracking.store import Store, experiment_id, opened

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, Run

MIRRORED = "datastill.mirrored"  # tag: {metric: last step that the store holds}
ARTIFACTS = "datastill.artifacts"  # tag: {artifact: digest}
PARAM_LENGTH = 6000  # characters that MLflow keeps of a param
DIGEST_LENGTH = 36  # and of a dataset's digest
_logger = logging.getLogger(__name__)


def mirror(store: Store, record: RunRecord) -> str:
    """Make the store say what `record` says, sending only what it lacks; return the run's id.

    Points of the history and params that it holds stay as they are: MLflow cannot change them.
    Raises DatastillError for a name that MLflow refuses and where the store fails.
    """
    check(record)
    with opened(store) as client:
        run = _claim(client, experiment_id(client, store), record)
        _send_numbers(client, run, record)
        _send_inputs(client, run, record)
        _send_tags(client, run, {**record.tags, **record.identity()})
        if run.info.status != record.status:
            _send_status(client, run, record)
        _send_artifacts(client, run, record)
        return str(run.info.run_id)


def runs(store: Store) -> list[dict[str, Any]]:
    """Return every live run as plain data, oldest first; [] where nothing has been mirrored."""
    if store.database and not store.database.exists():
        return []
    with opened(store) as client:
        return [_plain(run) for run in _live(client, experiment_id(client, store))]


def _live(client: MlflowClient, experiment: str, where: str = "") -> list[Run]:
    return list(client.search_runs([experiment], where, order_by=["attributes.start_time ASC"]))


def _claim(client: MlflowClient, experiment: str, record: RunRecord) -> Run:
    """Return the row's one live run, made where there is none; delete those that it supersedes."""
    held = _live(client, experiment, f"tags.row = '{record.row}'")
    own = [run for run in held if record.identity().items() <= run.data.tags.items()][:1]
    for run in held:
        if run not in own:
            client.delete_run(run.info.run_id)
    start = _time(record, 0)
    return own[0] if own else client.create_run(experiment, start, record.identity(), record.row)


def _time(record: RunRecord, index: int) -> int | None:
    """Return the time of the history's point `index` in milliseconds, None where it has none."""
    point = record.history[index] if record.history else {}
    return int(point["time"] * 1000) if "time" in point else None


def _send_numbers(client: MlflowClient, run: Run, record: RunRecord) -> None:
    points = _new_points(run, record)
    marks = _marks(run)
    for point in points:
        marks[point.key] = max(point.step, marks.get(point.key, 0))
    metrics = points + _new_metrics(run, record)
    client.log_batch(run.info.run_id, metrics=metrics, params=_new_params(run, record))
    # Marked last: after a crash in between, the same points are sent again, and as their times
    # are the same too, the store drops them as duplicates.
    if points:
        client.set_tag(run.info.run_id, MIRRORED, json.dumps(marks))


def _marks(run: Run) -> dict[str, int]:
    return dict(json.loads(run.data.tags.get(MIRRORED, "{}")))


def _new_points(run: Run, record: RunRecord) -> list[Metric]:
    """Return the points after the marks, one for a metric and step: what was told last."""
    from mlflow.entities import Metric

    marks = _marks(run)
    points = {}
    for index, point in enumerate(record.history):
        step, when = int(point["step"]), _time(record, index) or run.info.start_time
        for name in point.keys() - {"step", "time"}:
            if step > marks.get(name, -1):
                points[name, step] = Metric(name, point[name], when, step)
    return list(points.values())


def _new_metrics(run: Run, record: RunRecord) -> list[Metric]:
    """Return the final metrics that differ from the store's, at the history's last step."""
    from mlflow.entities import Metric

    step = max((int(point["step"]) for point in record.history), default=0)
    now = int(time.time() * 1000)  # of two values at one step MLflow shows the later one
    return [
        Metric(name, value, now, step)
        for name, value in record.metrics.items()
        if str(run.data.metrics.get(name)) != str(float(value))  # as text: nan is not nan
    ]


def _new_params(run: Run, record: RunRecord) -> list[Param]:
    from mlflow.entities import Param

    params = {name: str(value)[:PARAM_LENGTH] for name, value in record.params.items()}
    held = run.data.params
    changed = sorted(name for name in params.keys() & held.keys() if params[name] != held[name])
    if changed and record.status != "RUNNING":
        _logger.warning("MLflow keeps the old %s of row %s", ", ".join(changed), record.row)
    return [Param(name, params[name]) for name in params.keys() - held.keys()]


def _send_inputs(client: MlflowClient, run: Run, record: RunRecord) -> None:
    held = {(entry.dataset.name, entry.dataset.digest) for entry in _datasets(run)}
    wanted = [_as_dataset(entry) for entry in record.inputs]
    new = [entry for entry in wanted if (entry.dataset.name, entry.dataset.digest) not in held]
    if new:
        client.log_inputs(run.info.run_id, new)


def _datasets(run: Run) -> list[DatasetInput]:
    return run.inputs.dataset_inputs if run.inputs else []


def _as_dataset(entry: DataInput) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=entry.name,
        digest=entry.digest[:DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": entry.source}),
        profile=json.dumps(dict(entry.facts)),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", entry.context)])


def _send_artifacts(client: MlflowClient, run: Run, record: RunRecord) -> None:
    files = {name: file for name, file in record.artifacts.items() if file.is_file()}
    digests = {name: digest(file)[:16] for name, file in files.items()}
    held = json.loads(run.data.tags.get(ARTIFACTS, "{}"))
    new = [name for name in files if held.get(name) != digests[name]]
    if not new:
        return
    with TemporaryDirectory() as folder:  # MLflow keeps the names of the files that it is given
        for name in new:
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(files[name], target)
        client.log_artifacts(run.info.run_id, folder)
    client.set_tag(run.info.run_id, ARTIFACTS, json.dumps(held | digests))


def _send_tags(client: MlflowClient, run: Run, tags: dict[str, str]) -> None:
    from mlflow.entities import RunTag

    new = tags.items() - run.data.tags.items()
    client.log_batch(run.info.run_id, tags=[RunTag(*tag) for tag in new])


def _send_status(client: MlflowClient, run: Run, record: RunRecord) -> None:
    if record.status == "RUNNING":
        client.update_run(run.info.run_id, status="RUNNING")
    else:
        client.set_terminated(run.info.run_id, record.status, _time(record, -1))


def _plain(run: Run) -> dict[str, Any]:
    inputs = [
        {
            "name": entry.dataset.name,
            "digest": entry.dataset.digest,
            "context": next((tag.value for tag in entry.tags), ""),
        }
        for entry in _datasets(run)
    ]
    return {
        "row": run.data.tags.get("row", ""),
        "run_id": run.info.run_id,
        "status": run.info.status,
        "metrics": dict(run.data.metrics),
        "params": dict(run.data.params),
        "tags": dict(run.data.tags),
        "inputs": inputs,
    }
