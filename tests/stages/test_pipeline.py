"""The whole pipeline, end to end, as a user runs it: real DVC, real MLflow, at a tiny scale."""

import csv
import json
import os
import re
import shutil
import signal
import sqlite3
from contextlib import closing

import pytest
from mlflow_runs import runs
from page_reader import Page
from processes import kill_all, started, wait_for
from pycocotools.coco import COCO

from datastill.tracking.run_record import REPORT
from datastill.tracking.store import Store

ROWS = ("co-35", "co-115", "co-35_co-80")


def mirrored(project) -> list[dict]:
    """What MLflow holds of the rows."""
    uri = f"sqlite:///{project.root / 'mlflow.db'}"
    found = runs(Store(uri, "datastill/miniature", patience_seconds=60))
    return [run for run in found if run["row"] != REPORT]


def test_one_line_prints_table_1_with_the_papers_numbers(reproduced):
    log = (reproduced.root / "repro.log").read_text()
    assert "1a: co-35 labelled, co-80 unlabelled" in log
    assert "60.2 (+5.3)" in log  # the paper's co-35 + co-80


def test_the_table_has_a_line_per_row_of_the_section(reproduced):
    with (reproduced.root / "results/miniature/table1.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["role"] for line in lines] == ["supervised", "distilled", "upper bound"]
    assert [line["paper_ap"] for line in lines] == ["54.90", "60.20", "65.10"]


def test_the_same_line_writes_the_page_with_what_each_training_took(reproduced):
    page = Page((reproduced.root / "work/miniature/report.html").read_text())
    assert page.all("section", id="verdict")
    assert len(re.findall(r"\d\.\d\d GB", page.text)) == len(ROWS)


def test_a_second_repro_runs_nothing(reproduced):
    answer = reproduced.run("dvc", "repro")
    assert answer.returncode == 0
    assert "Running stage" not in answer.stdout + answer.stderr


@pytest.mark.parametrize(
    "path", ["src/datastill/report/render.py", "results/miniature/expected.yaml"]
)
def test_editing_a_report_or_an_expectation_retrains_nothing(reproduced, path):
    file = reproduced.root / path
    kept = file.read_text() if file.exists() else None
    file.write_text((kept or "") + "\n# edited\n")
    answer = reproduced.run("dvc", "status")
    file.write_text(kept) if kept is not None else file.unlink()
    assert answer.returncode == 0
    assert ("tables@table1" in answer.stdout) == path.endswith(".py")
    for stage in ("supervised@", "annotate@", "distilled@", "evaluate-", "\nreport:"):
        assert stage not in f"\n{answer.stdout}"


def test_generated_annotations_are_as_dense_as_the_labelled_and_read_by_pycocotools(reproduced):
    generated = COCO(str(reproduced.root / "work/miniature/annotations/co-35_co-80.json"))
    labelled = COCO(str(reproduced.root / "work/miniature/data/co-35.json"))
    per_image = [len(coco.anns) / len(coco.imgs) for coco in (generated, labelled)]
    assert per_image[0] == pytest.approx(per_image[1], rel=0.05)  # 28 images: whole people count
    assert {a["iscrowd"] for a in generated.anns.values()} == {0}
    assert all(0 < a["score"] <= 1 for a in generated.anns.values())


def test_mlflow_holds_one_finished_run_per_row_each_with_ap_and_its_inputs(reproduced):
    found = {run["row"]: run for run in mirrored(reproduced)}
    assert len(mirrored(reproduced)) == len(ROWS)
    assert set(found) == set(ROWS)
    for run in found.values():
        assert run["status"] == "FINISHED"
        assert "val/keypoints/ap" in run["metrics"]
        assert "train/loss" in run["metrics"]
    student = found["co-35_co-80"]
    contexts = {entry["context"] for entry in student["inputs"]}
    assert contexts == {"labelled", "unlabelled", "generated", "val"}
    assert student["tags"]["role"] == "distilled"
    assert student["tags"]["teacher"] == "co-35"
    assert "annotations/instance_threshold" in student["metrics"]


def test_mlflow_shows_pictures_of_the_sets_and_of_what_was_annotated(reproduced):
    kept = {path.parent: set() for path in reproduced.root.rglob("artifacts/metrics.json")}
    for folder, names in kept.items():
        names |= {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    alone = {"metrics.json", "sets/co-35.png"}
    assert alone in kept.values()
    assert alone | {"sets/co-80.png", "annotated.png", "annotations.json"} in kept.values()


def test_metrics_are_those_that_mlflow_shows(reproduced):
    for run in mirrored(reproduced):
        path = reproduced.root / f"results/miniature/metrics/{run['row']}.json"
        assert json.loads(path.read_text())["ap"] == run["metrics"]["val/keypoints/ap"]


def test_tracking_can_be_rebuilt_from_the_files(reproduced):
    before = {run["row"]: run["metrics"] for run in mirrored(reproduced)}
    (reproduced.root / "mlflow.db").unlink()
    assert reproduced.run("datastill", "track", "sync").returncode == 0
    assert {run["row"]: run["metrics"] for run in mirrored(reproduced)} == before


def test_a_forced_rerun_gives_the_same_weights_and_still_one_run(reproduced):
    weights = reproduced.root / "work/miniature/models/co-35/weights.safetensors"
    before = weights.read_bytes()
    answer = reproduced.run("dvc", "repro", "-f", "-s", "supervised@co-35")
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert weights.read_bytes() == before
    assert reproduced.run("dvc", "repro", "-f", "-s", "evaluate-supervised@co-35").returncode == 0
    found = [run for run in mirrored(reproduced) if run["row"] == "co-35"]
    assert [run["status"] for run in found] == ["FINISHED"]
    assert "val/keypoints/ap" in found[0]["metrics"]


def test_training_that_outlives_dvc_keeps_its_successor_out_and_killed_resumes_to_the_same_bits(
    reproduced,
):
    """All are the same command, as the user would give it again."""
    weights = reproduced.root / "work/miniature/models/co-35/weights.safetensors"
    before = weights.read_bytes()
    repro = ("dvc", "repro", "-f", "-s", "supervised@co-35")
    process = started(reproduced, *repro)
    wait_for(reproduced.root / "work/miniature/training/co-35/state.pt", process)
    pid = int((reproduced.root / "work/miniature/locks/train-co-35.pid").read_text())
    os.kill(pid, signal.SIGSTOP)  # before it is done
    process.kill()
    process.wait()  # a zombie would still hold DVC's own lock
    refused = reproduced.run(*repro)
    assert refused.returncode != 0
    assert f"process {pid} is still running `datastill train co-35`" in refused.stderr
    assert "Traceback" not in refused.stderr
    kill_all(reproduced.root)
    process.communicate()
    assert reproduced.run("datastill", "track", "sync").returncode == 0
    with closing(sqlite3.connect(reproduced.root / "mlflow.db")) as database:  # MLflow may still
        # read the file that another test has deleted
        query = "SELECT status FROM runs WHERE name = 'co-35' AND lifecycle_stage = 'active'"
        assert database.execute(query).fetchall() == [("KILLED",)]
    answer = reproduced.run(*repro)
    assert "resuming" in answer.stderr
    assert weights.read_bytes() == before
    assert [run["row"] for run in mirrored(reproduced)].count("co-35") == 1


def test_training_writes_into_no_file_that_dvc_has_linked(copy, datastill):
    """With `cache.type hardlink` the files of a model are also those of DVC's cache."""
    cache = copy.root / "cache"
    cache.mkdir()
    for file in (copy.root / "work/miniature/models/co-35").iterdir():
        (cache / file.name).hardlink_to(file)
    before = {file.name: file.read_bytes() for file in cache.iterdir()}
    assert datastill("train", "co-35", cwd=copy.root).returncode == 0
    assert {file.name: file.read_bytes() for file in cache.iterdir()} == before


def test_rows_evaluated_on_another_val_make_no_table(copy, datastill):
    val = copy.root / "work/miniature/data/val.json"
    val.write_text(f"{val.read_text()}\n")
    answer = datastill("tables", cwd=copy.root)
    assert answer.returncode == 1
    assert "co-35: evaluated on another val; run `datastill evaluate co-35` again" in answer.stderr


def test_check_passes_on_what_is_true_and_names_the_row_that_is_not(reproduced, datastill):
    expected = reproduced.root / "results/miniature/expected.yaml"
    metrics = json.loads((reproduced.root / "results/miniature/metrics/co-35.json").read_text())
    line = "values:\n  co-35:\n    ap:\n      value: {}\n      tolerance: 0.5\norders: []\n"
    expected.write_text(line.format(metrics["ap"]))
    assert datastill("check", cwd=reproduced.root).returncode == 0
    expected.write_text(line.format(metrics["ap"] + 3))
    answer = datastill("check", cwd=reproduced.root)
    expected.unlink()
    assert answer.returncode == 1
    assert "FAIL co-35 ap" in answer.stdout


def test_drawn_images_that_a_clone_lacks_are_drawn_again(copy, datastill):
    picture = copy.root / "work/miniature/images/val/000003.jpg"
    before = picture.read_bytes()
    shutil.rmtree(picture.parent)
    assert datastill("evaluate", "co-35", cwd=copy.root).returncode == 0
    assert picture.read_bytes() == before


def test_images_of_another_drawing_are_drawn_again(copy, datastill):
    """DVC restores a branch's JSON files, and beside them lie the images of the other branch."""
    params = copy.params()
    picture = copy.root / "work/miniature/images/val/000003.jpg"
    before, data = picture.read_bytes(), copy.root / "work/miniature/data"
    kept = shutil.copytree(data, copy.root / "kept")
    copy.write_params({**params, "data": {**params["data"], "seed": 1}})
    assert datastill("data", cwd=copy.root).returncode == 0
    assert picture.read_bytes() != before
    shutil.rmtree(data)
    kept.rename(data)
    copy.write_params(params)
    answer = datastill("evaluate", "co-35", cwd=copy.root)
    assert answer.returncode == 0
    assert "images of val are missing or" in answer.stderr
    assert picture.read_bytes() == before


@pytest.mark.parametrize("name", ["co-35_co-80", "s1m-180"])
def test_show_writes_a_picture_of_generated_annotations_or_of_a_set(reproduced, datastill, name):
    answer = datastill("show", name, cwd=reproduced.root)
    assert (reproduced.root / answer.stdout.strip()).read_bytes()[:4] == b"\x89PNG"


def test_a_dead_tracking_server_costs_a_warning_and_no_result(copy, datastill):
    params = copy.params()
    params["tracking"] = {"uri": "http://127.0.0.1:9", "patience_seconds": 1.0}
    copy.write_params(params)
    model = copy.root / "work/miniature/models/co-35"
    shutil.rmtree(model)
    answer = datastill("train", "co-35", cwd=copy.root)
    assert answer.returncode == 0
    assert "track sync" in answer.stderr
    assert (model / "weights.safetensors").is_file()
