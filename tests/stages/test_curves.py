"""Stage `curves`: small files that DVC can draw and compare."""

import json
import shutil

import pytest
import yaml
from places import ROOT

from datastill.errors import DataError
from datastill.io import write_text
from datastill.project.profile import open_profile
from datastill.stages import curves

BOX = [10.0, 10.0, 20.0, 20.0]
VAL = {
    "images": [{"id": 1, "width": 64, "height": 64, "file_name": "1.jpg"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, "area": 400, "iscrowd": 0}
    ],
    "categories": [{"id": 1, "name": "cell"}],
}
MACHINE = {"code": "1a2b3c4", "device": "cpu", "threads": 1, "torch": "2.11.0"}
CARD = {
    "images": 9,
    "instances": 10,
    "quality": None,
    "provenance": MACHINE | {"annotations": "a", "teacher_weights": "t", "views": 18},
    "thresholds": {"instance": {"value": 0.83153063}, "keypoint": None, "keypoint_by_type": {}},
    "images_refused": [],
    "instances_per_image": 1.13,
    "expected": {"precision": 0.69, "recall": 0.58, "images": 9},
    "sensitivity": [
        {"share": share, "instances_per_image": share, "precision50": None, "recall50": None}
        for share in (2.0, 1.0)
    ],
}
MEASURED = {
    "images": 1,
    "instances": 1,
    "provenance": MACHINE | {"weights": "w", "fingerprint": "f", "val": "v"},
}
LOSS = {"step": 0, "time": 1e9, "loss": 3.0, "learning_rate": 0.1}


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """The boxes with one setting, trained, annotated and evaluated."""
    raw = yaml.safe_load((ROOT / "pipelines/boxes/params.yaml").read_text())
    raw["supervised"] = {"co-35": next(iter(raw["supervised"].values())) | {"labelled": "co-35"}}
    student = next(iter(raw["distilled"].values()))
    raw["distilled"] = {"co-35_co-80": student | {"labelled": "co-35", "teacher": "co-35"}}
    write_text(tmp_path / "pipelines/boxes/params.yaml", yaml.safe_dump(raw))
    monkeypatch.chdir(tmp_path)
    opened = open_profile("boxes")
    write_text(opened.image_set("val"), json.dumps(VAL))
    for row, ap in (("co-35", 21.0), ("co-35_co-80", 25.53)):
        found = {"image_id": 1, "category_id": 1, "bbox": BOX, "score": 0.9}
        write_text(opened.detections(row), json.dumps([found]))
        measured = {"row": row, "ap": ap, "interval": [ap - 2, ap + 2]} | MEASURED
        write_text(opened.metrics(row), json.dumps(measured))
        write_text(opened.model(row) / "journal.jsonl", json.dumps(LOSS) + "\n")
    write_text(opened.annotation_card("co-35_co-80"), json.dumps(CARD))
    return opened


def read(path):
    return json.loads(path.read_text())


def test_a_summary_holds_the_few_numbers_that_are_compared(profile):
    curves.run(profile)
    assert read(profile.summary("co-35")) == {"ap": 21.0, "ap_low": 19.0, "ap_high": 23.0}
    assert read(profile.summary("co-35_co-80")) == {
        "ap": 25.53, "ap_low": 23.53, "ap_high": 27.53, "gain": 4.53, "instance_threshold": 0.8315,
        "instances_per_image": 1.13, "expected_precision": 0.69, "expected_recall": 0.58,
    }  # fmt: skip


def test_curves_are_those_of_the_log_the_detections_and_the_card(profile):
    curves.run(profile)
    row = "co-35_co-80"
    assert read(profile.curve("loss", row)) == [{"step": 0, "loss": 3.0, "learning_rate": 0.1}]
    assert read(profile.curve("precision-recall", row))[100]["precision75"] == 1.0
    levels = read(profile.curve("sensitivity", row))
    assert [point["level"] for point in levels] == [1.0, 2.0]
    assert not profile.curve("sensitivity", "co-35").exists()


def test_a_row_that_was_not_evaluated_is_one_error(profile):
    profile.metrics("co-35").unlink()
    with pytest.raises(DataError, match="datastill evaluate co-35 --profile boxes"):
        curves.run(profile)


@pytest.mark.slow
def test_dvc_draws_every_curve_of_a_profile_and_shows_summaries_as_metrics(profile, project):
    folder = project.root / "pipelines/boxes"
    curves.run(profile)
    for name in ("work", "results", "pipelines"):
        shutil.copytree(name, project.root / name)
    shutil.copy(project.root / "dvc.yaml", folder)
    answer = project.run("dvc", "plots", "show", "--json", "pipelines/boxes/dvc.yaml")
    drawn = json.loads(answer.stdout)
    assert "errors" not in drawn, answer.stderr
    curve = "results/boxes/curves/"
    assert sorted(name.removeprefix(curve) for name in drawn["data"] if curve in name) == [
        "loss/co-35.json", "loss/co-35_co-80.json", "precision-recall/co-35.json",
        "precision-recall/co-35_co-80.json", "sensitivity/co-35_co-80.json",
    ]  # fmt: skip
    shown = json.loads(project.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    found = {name: file["data"] for name, file in shown.items() if file.get("data")}
    assert found == {
        f"results/boxes/summary/{row}.json": read(profile.summary(row))
        for row in ("co-35", "co-35_co-80")
    }
