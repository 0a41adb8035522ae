"""A profile's experiment on MLflow's page: all rows with their AP, best first.

MLflow keeps a view as JSON in a tag of the experiment; an address with the tag's key opens it.
"""

import json
from typing import TYPE_CHECKING

from datastill.tracking.store import Store, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

KEY = "ap"  # of the view and of its section of charts


def save_view(client: "MlflowClient", store: Store, task: str) -> "Experiment":
    """Save the view of AP with the store's experiment; return the experiment."""
    number = experiment_id(client, store)
    client.set_experiment_tag(number, f"mlflow.sharedViewState.{KEY}", view(task))
    return client.get_experiment(number)


def page(number: str) -> str:
    """Return the place on a server of the view of experiment `number`."""
    query = f"workflowType=machine_learning&compareRunsMode=TABLE&viewStateShareKey={KEY}"
    return f"/#/experiments/{number}/runs?{query}"


def view(task: str) -> str:
    """Return the view as MLflow's page saves it, under a name: columns, their widths, the order."""
    ap = f"val/{task}/ap"
    widths = {"attributes.`Run Name`": 170, "runDateAndNestInfo": 100}
    widths |= {"tags.`role`": 90, "tags.`setting`": 130}
    shown = {ap: 120, f"{ap}_low": 140, f"{ap}_high": 145, f"val/{task}/gain": 125}
    thresholds = ["instance", "keypoint"] if task == "keypoints" else ["instance"]
    shown |= {f"annotations/{each}_threshold": 195 for each in thresholds}
    widths |= {f"metrics.`{name}`": width for name, width in shown.items()}
    state = {
        "orderByKey": f"metrics.`{ap}`",
        "orderByAsc": False,
        "selectedColumns": [*widths],
        "columnOrder": [*widths],
        "columnWidths": widths,
        "runsHiddenMode": "SHOW_ALL",  # in charts
        "compareRunCharts": [_chart("BAR", ap), _chart("LINE", "train/loss")],
        "compareRunSections": [{"uuid": KEY, "name": "AP and loss", "display": True}],
        "isAccordionReordered": True,  # else MLflow sorts its sections, of all metrics, before it
    }
    return json.dumps({"name": "AP of all rows", "createdAt": 0, "state": json.dumps(state)})


def _chart(kind: str, metric: str) -> dict[str, object]:
    """Return a chart of a metric of all runs; MLflow's page fails without any of the keys."""
    chart = {"type": kind, "uuid": metric, "metricSectionId": KEY, "metricKey": metric}
    axes = {"xAxisKey": "step", "yAxisKey": "metric", "yAxisExpressions": [], "range": {}}
    linear = {"lineSmoothness": 0, "scaleType": "linear", "xAxisScaleType": "linear"}
    shown = {"deleted": False, "isGenerated": False, "runsCountToCompare": 100}
    return {**chart, **shown, **(axes | linear if kind == "LINE" else {})}
