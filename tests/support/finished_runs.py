"""A finished run of three rows, made by hand, whose names would like to be markup."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from datastill.coco.format import PERSON, Coco, write_coco
from datastill.distill.annotations import EVIDENCE
from datastill.io import digest, write_text
from datastill.page.finished_run import FinishedRun
from datastill.project.records import read_facts
from datastill.report.render import to_csv
from datastill.report.tables import comparison_table

HOSTILE = '<script>alert("x|y")</script>\n\x1b[31m$x_1$'
FILE = 'a/<i onload="alert(1)">|\n\x1b[31m{}.png'
MACHINE = {"code": "1" * 40, "device": "cpu", "threads": 1, "torch": "2.11.0"}
SPEC = {"backbone": "small", "iterations": 130000, "seed": 0}
SPECS = {
    "teacher": {**SPEC, "labelled": "a"},
    "student": {**SPEC, "labelled": "a", "unlabelled": "b", "teacher": "teacher"},
}


@dataclass(frozen=True)
class Folder:
    """The files of a run below one folder."""

    work: Path

    @property
    def results(self):
        return self.work

    @property
    def images(self):
        return self.work / "images"

    @property
    def manifest(self):
        return self.work / "data" / "manifest.csv"

    @property
    def allowed(self):
        return self.work / "data" / "allowed.csv"

    def image_set(self, name):
        return self.work / "data" / f"{name}.json"

    def model(self, row):
        return self.work / "models" / row

    def evidence(self, row):
        return self.work / f"{row}.parquet"

    def annotation_card(self, row):
        return self.work / f"{row}.card.json"

    def detections(self, row, *, all_views=False):
        return self.work / f"{row}.detections.json"

    def metrics(self, row):
        return self.work / "metrics" / f"{row}.json"

    def usage(self, row):
        return self.work / "usage" / f"{row}.json"


def _coco(truth, first, task, labelled=True):
    """The images and people of `truth` with other ids, below other names."""
    person = {**PERSON, "name": HOSTILE, "keypoints": [f"{n} {HOSTILE}" if n == "nose" else n
                                                       for n in PERSON["keypoints"]]}  # fmt: skip
    other = {"id": 2, "name": "other"}
    images = [
        {**image, "id": first + i, "file_name": FILE.format(first + i)}
        for i, image in enumerate(truth.images)
    ]
    annotations = [
        {**a, "id": first + i, "image_id": first + i} for i, a in enumerate(truth.annotations)
    ]
    kept = [person, other] if task == "boxes" else [person]
    return Coco(images, annotations if labelled else [], kept)


def _detections(val, task, found):
    for index, annotation in enumerate(val.annotations):
        if index in found:
            shown = "keypoints" if task == "keypoints" else "bbox"
            fields = {name: annotation[name] for name in ("image_id", "category_id", shown)}
            yield {**fields, "score": 0.9 - index / 100}


def _evidence(images, annotations):
    """A candidate per image, the last quarter rejected; that of the first is in the wrong place."""
    for index, (image, a) in enumerate(zip(images, annotations, strict=True)):
        accepted = index < 0.75 * len(images)
        shift = 90.0 if index == 0 else 0.0
        x, y, width, height = a["bbox"]
        points = np.reshape(a["keypoints"], (-1, 3)) + np.array([shift, 0, 0])
        k = len(points)
        yield {
            "image_id": image["id"], "category_id": a["category_id"], "score": 0.95 - index / 50,
            "box": [x + shift, y, x + shift + width, y + height],
            "keypoints": np.where([1, 1, 0], points, 0.5).ravel().tolist(),
            "spread": [0.1 * index] * k, "agreeing": [18] * k, "views": 18, "box_spread": 0.1,
            "rule": "match", "threshold": 0.6, "accepted": accepted, "ignored": False,
            "kept": [accepted] * k,
        }  # fmt: skip


def _card(boxes):
    side = {"size": 7.6, "aspect": 0.0, "brightness": 90.0, "images_by_instances": [1, 19, 0]}
    level = {"share" if boxes else "threshold": 0.7, "instances_per_image": 0.75}
    return {
        "images": 15, "images_without_annotations": 5, "instances": 15, "images_refused": [
            {"file_name": FILE.format("gone"), "reason": f"no readable image: {HOSTILE}"}],
        "rules": {"images_without": "drop"}, "thresholds": {"instance": {"value": 0.66}},
        "expected": {"precision": 0.9, "precision_interval": [0.8, 1.0], "recall": 0.7,
                     "recall_interval": [0.6, 0.8]}, "quality": None,
        "sensitivity": [{**level, "precision50": p, "recall50": None} for p in (0.9, None)],
        "drift": {"labelled": side, "unlabelled": side, "warnings": [],
                  "shift": {"size": 0.0, "aspect": 0.0, "brightness": 0.6}},
        "warnings": [f"student: {HOSTILE}"],
        "provenance": {**MACHINE, "annotations": "a", "teacher_weights": "t", "views": 18},
    }  # fmt: skip


def _write_sets(files, sets):
    for name, coco in sets.items():
        write_coco(files.image_set(name), coco)
        for image in coco.images:
            path = files.images / image["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(image["id"]).integers(0, 255, (8, 8, 3), np.uint8)
            Image.fromarray(noise).resize((200, 200)).save(path)
    images = [image for coco in sets.values() for image in coco.images]
    lines = [{"file_name": i["file_name"], "brightness": 90, "likeness": f"{i['id']:032x}"}
             for i in images]  # fmt: skip
    write_text(files.manifest, pd.DataFrame(lines).to_csv(index=False))
    twin = f"shows the same as {images[0]['file_name']} (3 bits of its hash differ)"
    refused = pd.DataFrame([{"set": "b", "file_name": images[-1]["file_name"], "reason": twin}])
    write_text(files.manifest.with_name("refused.csv"), refused.to_csv(index=False))


def write_rows(files, val, task):
    """Write what two rows leave when they are trained and evaluated on `val`."""
    for row, found in (("teacher", range(8)), ("student", range(4, 20))):
        detections = [*_detections(val, task, found)]
        write_text(files.detections(row), json.dumps(detections))
        points = {n: {"median": 2.0} for n in val.keypoint_names()}
        by_keypoint = {"by_keypoint": points} if task == "keypoints" else {}
        weights = files.model(row) / "weights.safetensors"
        write_text(weights, row)
        metrics = {
            "row": row, "task": task, "ap": 40.0, "interval": [30.0, 50.0], "images": 20,
            "ap50": 60.0, "ap75": 40.0, "ap_large": 50.0, "ap_medium": None, "instances": 20,
            "provenance": {**MACHINE, "weights": digest(weights), "fingerprint": "f",
                           "val": digest(files.image_set("val"))},
        }  # fmt: skip
        write_text(files.metrics(row), json.dumps(metrics | by_keypoint))
        model = {"iterations": 3, "seconds": 60, "parameters": 9, "precision": "32-true",
                 "device": HOSTILE, "threads": 1, "fingerprint": "f", "attempt": "a",
                 "code": "1" * 40, "row": {}, "train": {}}  # fmt: skip
        write_text(files.model(row) / "card.json", json.dumps(model))
        log = [{"step": n, "loss": 2.0 - n / 9, "learning_rate": 0.1} for n in range(9)]
        text = "".join(json.dumps(line) + "\n" for line in log)
        write_text(files.model(row) / "journal.jsonl", text)


def write_annotations(files, truth, task):
    """Write what the teacher annotates for the student, near the `truth`, and its card."""
    write_text(files.annotation_card("student"), json.dumps(_card(task == "boxes")))
    evidence = [*_evidence(truth.images, truth.annotations)]
    if task == "boxes":
        evidence = [{**e, "keypoints": [], "spread": [], "agreeing": [], "kept": []}
                    for e in evidence]  # fmt: skip
    files.evidence("student").parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(evidence, EVIDENCE), files.evidence("student"))


@pytest.fixture
def finished(tmp_path, truth_of_20, result):
    """Build the run of a task, the unlabelled set `labelled` or not."""

    def build(task="keypoints", labelled=True):
        files, truth = Folder(tmp_path), truth_of_20
        unlabelled = _coco(truth, 300, task)
        sets = {"val": _coco(truth, 100, task), "a": _coco(truth, 200, task),
                "b": _coco(truth, 300, task, labelled=labelled)}  # fmt: skip
        _write_sets(files, sets)
        write_rows(files, sets["val"], task)
        write_annotations(files, unlabelled, task)
        table = comparison_table("table1", [result("a"), result("a+b", range(1, 19))], {})
        name = "table1" if task == "keypoints" else "table4"
        write_text(files.results / f"{name}.csv", to_csv(table))
        return FinishedRun(
            name="tiny", task=task, files=files, specs=SPECS, original=lambda each: each,
            members={}, tables=[name], read=read_facts, trace=lambda row: f"{row} {HOSTILE}",
        )  # fmt: skip

    return build
