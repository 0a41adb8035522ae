"""The view of AP, as MLflow's page reads it; tests/tracking/test_server.py opens it."""

import json

import pytest
from mlflow_runs import RECORD

from datastill.tracking.comparison import save_view, view
from datastill.tracking.store import opened
from datastill.tracking.sync import mirror

LENGTH = 5000  # of an experiment's tag


@pytest.mark.parametrize(("task", "thresholds"), [("keypoints", 2), ("boxes", 1)])
def test_the_view_shows_roles_ap_and_thresholds_best_ap_first(task, thresholds):
    named = json.loads(view(task))
    state = json.loads(named["state"])
    assert named["name"] == "AP of all rows"
    assert state["orderByKey"] == f"metrics.`val/{task}/ap`"
    assert not state["orderByAsc"]
    columns = state["selectedColumns"]
    assert columns.index("tags.`role`") < columns.index(f"metrics.`val/{task}/ap`")
    assert len([column for column in columns if "_threshold" in column]) == thresholds
    assert len(view(task)) < LENGTH


def test_the_view_is_kept_with_the_experiment_beside_its_other_tags(store, client):
    mirror(store, RECORD)
    number = client.get_experiment_by_name(store.experiment).experiment_id
    client.set_experiment_tag(number, "mlflow.note.content", "by hand")
    with opened(store) as opened_client:
        held = [save_view(opened_client, store, "keypoints").tags for _ in range(2)][1]
    assert held["mlflow.sharedViewState.ap"] == view("keypoints")
    assert held["mlflow.note.content"] == "by hand"
