"""From photographs of one's own to a table and a model, by the README's commands alone."""

import csv
import json
import shutil

import pytest
import yaml
from places import ROOT

# of the group that begins early, since it takes long
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hands")]
ITERATIONS = {"labelled": 12, "all": 12}  # and 18 for all others


def test_labels_and_a_folder_become_a_table_and_a_model(bare, write_hands):
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, bare.root)
    shutil.copytree(ROOT / "src", bare.root / "src", ignore=shutil.ignore_patterns("__pyc*"))
    write_hands(bare.root / "mine", "photos", 36, 1)

    def run(*command):
        answer = bare.run(*command)
        assert answer.returncode == 0, answer.stderr[-3000:]
        return answer.stdout

    files = ("--labelled", "mine/photos.json", "--images", "mine/photos")
    run("datastill", "new", "own", *files, "--label-only", "14", "--val-count", "8")
    shorten(bare.root / "pipelines/own/params.yaml")
    assert "nothing is wrong" in run("datastill", "plan", "own", "--probe-seconds", "0")
    run("dvc", "repro", "pipelines/own/dvc.yaml")
    with (bare.root / "results/own/table1.csv").open() as file:
        lines = {line["role"]: line for line in csv.DictReader(file)}
    rows = ("labelled", "labelled-long", "labelled_unlabelled", "all")
    metrics = [bare.root / f"results/own/metrics/{row}.json" for row in rows]
    assert {role: float(line["ap"]) for role, line in lines.items()} == {
        role: json.loads(path.read_text())["ap"]
        for role, path in zip(
            ("supervised", "control", "distilled", "upper bound"), metrics, strict=True
        )
    }
    assert lines["distilled"]["gain_verdict"]
    assert lines["distilled"]["control_gain_verdict"]
    told = run("datastill", "export", "best", "--profile", "own")
    folder = told.split(":")[0]
    picture = next((bare.root / "mine/photos").glob("*.jpg"))
    found = json.loads(run("datastill", "predict", folder, str(picture)))
    assert {each["category_id"] for each in found} <= {3}


def shorten(path):
    """Let every row train for seconds, from random weights: ImageNet's would be downloaded."""
    params = yaml.safe_load(path.read_text())
    for name, row in [*params["supervised"].items(), *params["distilled"].items()]:
        row["iterations"] = ITERATIONS.get(name, 18)
    params["train"] |= {"start": "random", "batch": 4, "micro_batch_size": 4, "warmup": 4}
    path.write_text(yaml.safe_dump(params, sort_keys=False))
