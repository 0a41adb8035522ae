"""Five keypoints of a hand instead of seventeen of a person, through every stage."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from datastill.coco.format import read_coco
from datastill.commands import explain as why
from datastill.commands import plan
from datastill.errors import DataError
from datastill.model.checkpoint import load_detector
from datastill.project.profile import Profile
from datastill.project.schema import Params
from datastill.stages import data

FINGERS = ["wrist", "thumb", "index", "ring", "little"]
SIGMA = 0.072  # the median of COCO's


def ask_pycocotools(truth, detections, sigmas):
    with redirect_stdout(io.StringIO()):
        index = COCO(str(truth))
        evaluation = COCOeval(index, index.loadRes(str(detections)), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.params.catIds = [3]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * evaluation.stats


def test_the_hand_of_the_file_is_what_is_learned(profile):
    labelled = read_coco(profile.image_set("labelled"))
    assert [category["name"] for category in labelled.categories] == ["hand"]
    _, card = load_detector(profile.weights("teacher"))
    assert card["keypoints"] == FINGERS


@pytest.mark.parametrize("row", ["teacher", "student"])
def test_ap_is_pycocotools_own_with_the_sigmas_that_are_on_record(profile, row):
    measured = json.loads(profile.metrics(row).read_text())
    assert measured["provenance"]["oks"] == {"sigmas": [SIGMA] * 5, "from": "constant"}
    stats = ask_pycocotools(profile.image_set("val"), profile.detections(row), [SIGMA] * 5)
    assert measured["ap"] == round(stats[0], 2)
    assert measured["ap50"] == round(stats[1], 2)
    strict = ask_pycocotools(profile.image_set("val"), profile.detections(row), [0.3 * SIGMA] * 5)
    assert strict[0] < stats[0] - 5


def test_all_views_are_scored_by_pycocotools_too_and_the_gain_is_over_one_view(profile):
    measured = json.loads(profile.metrics("teacher").read_text())
    many, seen = measured["with_views"], profile.detections("teacher", all_views=True)
    stats = ask_pycocotools(profile.image_set("val"), seen, [SIGMA] * 5)
    assert many["ap"] == round(stats[0], 2) != measured["ap"]
    assert many["gain"] == pytest.approx(many["ap"] - measured["ap"], abs=0.02)
    assert many["views"] == 4


def test_generated_annotations_have_the_fingers_of_human_ones(profile):
    generated, human = (
        COCO(str(p)) for p in (profile.annotations("student"), profile.image_set("val"))
    )
    assert generated.anns
    assert {len(a["keypoints"]) for a in generated.anns.values()} == {15}
    assert {a["category_id"] for a in generated.anns.values()} == {3}
    assert generated.cats == human.cats


def test_a_reason_names_every_finger(profile):
    image_id = int(pd.read_parquet(profile.evidence("student"))["image_id"].iloc[0])
    told = why.run(profile, "student", image_id)
    assert all(finger in told for finger in FINGERS)


def test_a_table_and_a_picture_of_the_hands_are_there(profile):
    assert (
        "student" not in (profile.results / "table1.md").read_text()
    )  # rows are told by their sets
    assert "| distilled | labelled | unlabelled |" in (profile.results / "table1.md").read_text()
    sheet = cv2.imread(str(profile.sheet("labelled")))
    yellow = (sheet == (60, 220, 250)).all(-1)  # what has no side
    assert yellow.sum() > 24 * 5 * 10


def test_the_plan_counts_fingers(profile):
    text, ok = plan.run(profile, False, 0.001)
    assert ok, text
    assert "120" in text.split("labelled", 1)[1].splitlines()[0]  # 24 hands of 5


def test_two_skeletons_in_one_file_are_refused_before_anything_is_written(profile):
    content = json.loads(Path("hands/val.json").read_text())
    content["categories"][0]["keypoints"] = ["tip", "end"]
    Path("hands/two.json").write_text(json.dumps(content))
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["data"]["val"]["annotations"] = "two.json"
    before = profile.image_set("val").stat().st_mtime_ns
    with pytest.raises(DataError, match=r"hands/two.json: .*found pen, hand: .* to one of them"):
        data.run(Profile(Params.model_validate(params)))
    assert profile.image_set("val").stat().st_mtime_ns == before
