"""Boxes of COCO's 80 categories on real photographs: files, gaps in the ids, crowds and all."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from places import ROOT
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from datastill.coco.format import read_coco
from datastill.commands import plan
from datastill.model.checkpoint import load_detector
from datastill.project.profile import open_profile
from datastill.stages import annotate, data, evaluate, train

REAL = ROOT.parent / "shared" / "real" / "coco-boxes"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("real boxes"),
    pytest.mark.skipif(not REAL.is_dir(), reason=f"needs real boxes: {REAL} is absent"),
]


def part(content, images):
    ids = {image["id"] for image in images}
    kept = [a for a in content["annotations"] if a["image_id"] in ids]
    return {**content, "images": images, "annotations": kept}


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """A profile of its own data: 30 labelled images, 6 without labels, 20 to test on."""
    root, before = tmp_path_factory.mktemp("real"), Path.cwd()
    content = json.loads((REAL / "annotations.json").read_text())
    images = content["images"]
    for name, some in (("val", images[:20]), ("labelled", images[20:50])):
        (root / f"{name}.json").write_text(json.dumps(part(content, some)))
    (root / "more").mkdir()
    for image in images[50:56]:
        shutil.copy(REAL / "images" / image["file_name"], root / "more")
    (root / "images").symlink_to(REAL / "images")
    params = yaml.safe_load((ROOT / "pipelines" / "boxes" / "params.yaml").read_text())
    params |= {"profile": "own", "root": ".", "scale": {"images": 1, "iterations": 1}}
    params["params_file"] = "pipelines/own/params.yaml"
    annotated = {"without": [], "images": ["images"], "count": None}
    params["data"] = {
        "source": "files",
        "watched": "labelled.json",
        "root": ".",
        "leaks": "refuse",
        "sets": {
            "labelled": {"annotations": "labelled.json", **annotated},
            "more": {"folder": "more", "without": [], "count": 6},
        },
        "val": {"annotations": "val.json", **annotated},
    }
    row = {"labelled": "labelled", "backbone": "small", "iterations": 150, "seed": 0}
    params["supervised"] = {"teacher": row}
    params["distilled"] = {"student": {**row, "unlabelled": "more", "teacher": "teacher"}}
    params["train"] |= {"batch": 4, "micro_batch_size": 4, "short_sides": [80, 96], "warmup": 5}
    params["views"]["short_sides"] = [96, 128]
    params["evaluate"] |= {"resamples": 20, "with_views": []}
    (root / "pipelines" / "own").mkdir(parents=True)
    (root / "pipelines" / "own" / "params.yaml").write_text(yaml.safe_dump(params))
    os.chdir(root)
    profile = open_profile("own")
    data.run(profile)
    train.run(profile, "teacher")
    annotate.run(profile, "student")
    evaluate.run(profile, "teacher")
    yield profile
    os.chdir(before)


def test_all_80_categories_keep_their_ids_from_the_file_into_the_model(profile):
    theirs = json.loads((REAL / "annotations.json").read_text())["categories"]
    wanted = sorted((each["id"], each["name"]) for each in theirs)
    assert len(wanted) == 80
    assert wanted[-1][0] == 90
    for name in ("labelled", "more", "val"):
        found = read_coco(profile.image_set(name)).categories
        assert [(each["id"], each["name"]) for each in found] == wanted
    _, card = load_detector(profile.weights("teacher"))
    assert [(each["id"], each["name"]) for each in card["categories"]] == wanted


def test_annotations_are_of_categories_that_are_labelled_and_as_many(profile):
    labelled = read_coco(profile.image_set("labelled"))
    known = {a["category_id"] for a in labelled.annotations if not a["iscrowd"]}
    generated = read_coco(profile.annotations("student"))
    assert {a["category_id"] for a in generated.annotations} <= known
    card = json.loads(profile.annotation_card("student").read_text())
    assert card["quality"] is None, "nobody knows the truth of these images"
    counts = {name: t["kept"] for name, t in card["thresholds"]["by_category"].items()}
    assert sum(counts.values()) == len(generated.annotations) > 0
    never = [w for w in card["warnings"] if "never predicted by the teacher" in w]
    assert never, "so few iterations do not teach 80 categories"


def test_plan_knows_how_many_categories_there_are(profile):
    text, ok = plan.run(profile, pixels=False, probe_seconds=0)
    assert ok, text
    assert "of 80: person" in text


def test_metrics_are_those_of_pycocotools(profile):
    metrics = json.loads(profile.metrics("teacher").read_text())
    truth = COCO(str(profile.image_set("val")))
    evaluation = COCOeval(truth, truth.loadRes(str(profile.detections("teacher"))), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert metrics["images"] == 20
    for name, expected in zip(("ap", "ap50", "ap75", "ap_small"), evaluation.stats, strict=False):
        assert metrics[name] / 100 == pytest.approx(expected, abs=1e-4)
