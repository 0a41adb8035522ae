"""One record into one run: missing values are sent, superseded runs are deleted."""

import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from datastill.io import digest
from datastill.tracking.run_record import RunRecord, check
from datastill.tracking.store import Store, experiment_id, opened

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, Run

# The one internal tag, as JSON; MLflow's page hides tags with its prefix. Of a run: `fingerprint`
# and `attempt`, `project`, `steps` {metric: last step held}, `artifacts` {name: digest} and `note`
# as sent. Runs of earlier versions lack it, or `project`: they are superseded in a store of the
# project's own, and stay in a shared one.
STATE = "mlflow.datastill"
NOTE = "mlflow.note.content"  # the description on the run's page, which people may edit
PARAM_LENGTH = 6000  # characters of a param that MLflow stores
DIGEST_LENGTH = 36  # characters of a dataset's digest
_logger = logging.getLogger(__name__)


def mirror(store: Store, record: RunRecord) -> str:
    """Bring the store to the state of `record`, sending only the difference; return the run's id.

    Logged history points and params stay unchanged: MLflow cannot change them.
    Raises DatastillError for a name that MLflow refuses and if the store fails.
    """
    check(record)
    with opened(store) as client:
        run = _claim(client, experiment_id(client, store), record)
        run_id, state = str(run.info.run_id), {"project": record.project} | _state(run)
        points = _new_points(run, record, state.get("steps", {}))
        metrics = points + _new_metrics(run, record)
        client.log_batch(run_id, metrics=metrics, params=_new_params(run, record))
        if inputs := _new_inputs(run, record):
            client.log_inputs(run_id, inputs)
        # Marked last: after a crash in between, the same points are sent again, and as their
        # times are the same too, the store drops them as duplicates.
        steps = {point.key: point.step for point in sorted(points, key=lambda p: p.step)}
        state["steps"] = state.get("steps", {}) | steps
        tags = {**record.tags, "row": record.row}
        if run.data.tags.get(NOTE) in (None, state.get("note")):
            tags[NOTE] = state["note"] = record.description
        _send_tags(client, run, tags | {STATE: json.dumps(state)})
        if run.info.status != record.status == "RUNNING":
            client.update_run(run_id, status="RUNNING")
        elif run.info.status != record.status:
            client.set_terminated(run_id, record.status, _time(record, -1))
        _send_artifacts(client, run, record, state)
        return run_id


def _claim(client: "MlflowClient", experiment: str, record: RunRecord) -> "Run":
    """Return the row's one live run, created if there is none; delete those it supersedes.

    A run of the same training is the row's, whichever project made it; others are deleted only if
    this project made them.
    """
    order = ["attributes.start_time ASC"]
    held = client.search_runs([experiment], f"tags.row = '{record.row}'", order_by=order)
    own = [run for run in held if record.identity().items() <= _state(run).items()][:1]
    for run in held:
        if run not in own and project_of(run) == record.project:
            client.delete_run(run.info.run_id)
    state = record.identity() | {"project": record.project}
    tags = {"row": record.row, STATE: json.dumps(state)}
    return own[0] if own else client.create_run(experiment, _time(record, 0), tags, record.row)


def project_of(run: "Run") -> str:
    """Return the id of the project that made a run, "" if that has a store of its own."""
    return str(_state(run).get("project", ""))


def _state(run: "Run") -> dict[str, Any]:
    return dict(json.loads(run.data.tags.get(STATE, "{}")))


def _time(record: RunRecord, index: int) -> int | None:
    """Return the time of the history's point `index` in milliseconds, None if it has none."""
    point = record.history[index] if record.history else {}
    return int(point["time"] * 1000) if "time" in point else None


def _new_points(run: "Run", record: RunRecord, marks: Mapping[str, int]) -> list["Metric"]:
    """Return the points after the marks: per metric and step, the last one of the history."""
    from mlflow.entities import Metric

    points = {}
    for index, point in enumerate(record.history):
        step, timestamp = int(point["step"]), _time(record, index) or run.info.start_time
        for name in point.keys() - {"step", "time"}:
            if step > marks.get(name, -1):
                points[name, step] = Metric(name, point[name], timestamp, step)
    return list(points.values())


def _new_metrics(run: "Run", record: RunRecord) -> list["Metric"]:
    """Return the final metrics that differ from the store's, at the history's last step."""
    from mlflow.entities import Metric

    step = max((int(point["step"]) for point in record.history), default=0)
    now = int(time.time() * 1000)  # MLflow shows the later of two values at one step
    return [
        Metric(name, value, now, step)
        for name, value in record.metrics.items()
        if str(run.data.metrics.get(name)) != str(float(value))  # as text: nan != nan
    ]


def _new_params(run: "Run", record: RunRecord) -> list["Param"]:
    from mlflow.entities import Param

    params = {name: str(value)[:PARAM_LENGTH] for name, value in record.params.items()}
    held = run.data.params
    changed = sorted(name for name in params.keys() & held.keys() if params[name] != held[name])
    if changed and record.status != "RUNNING":
        _logger.warning("MLflow keeps the old %s of row %s", ", ".join(changed), record.row)
    return [Param(name, params[name]) for name in params.keys() - held.keys()]


def _new_inputs(run: "Run", record: RunRecord) -> list["DatasetInput"]:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    held = run.inputs.dataset_inputs if run.inputs else []
    known = {(entry.dataset.name, entry.dataset.digest) for entry in held}
    new = []
    for name, sha256, source, context, facts in map(astuple, record.inputs):
        if (name, sha256[:DIGEST_LENGTH]) not in known:
            address, facts = json.dumps({"uri": source}), json.dumps(facts)
            dataset = Dataset(name, sha256[:DIGEST_LENGTH], "local", address, profile=facts)
            new.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    return new


def _send_artifacts(
    client: "MlflowClient", run: "Run", record: RunRecord, state: Mapping[str, Any]
) -> None:
    files = {name: file for name, file in record.artifacts.items() if file.is_file()}
    digests = {name: digest(file)[:16] for name, file in files.items()}
    held = state.get("artifacts", {})
    if not digests.items() - held.items():
        return
    with TemporaryDirectory() as folder:  # MLflow keeps the names of the given files
        for name, _ in digests.items() - held.items():
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(files[name], target)
        client.log_artifacts(run.info.run_id, folder)
    _send_tags(client, run, {STATE: json.dumps({**state, "artifacts": held | digests})})


def _send_tags(client: "MlflowClient", run: "Run", tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    new = tags.items() - run.data.tags.items()
    client.log_batch(run.info.run_id, tags=[RunTag(*tag) for tag in new])
