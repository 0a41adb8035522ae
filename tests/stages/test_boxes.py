"""The second task, end to end: boxes of five categories, from drawing them to table 4."""

import base64
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from places import ROOT
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from datastill.coco.format import read_coco
from datastill.commands import explain as why
from datastill.commands import export, plan, predict, show  # fmt: skip
from datastill.commands.predictors import find_predictor
from datastill.errors import DataError
from datastill.evaluation.bootstrap import bootstrap, interval, match
from datastill.images.load import load_image
from datastill.inference.box_voting import vote
from datastill.inference.multi_transform import view_boxes
from datastill.model.checkpoint import load_detector
from datastill.project.profile import open_profile
from datastill.project.row_models import row_metadata, teacher_inference, unlabelled_subset
from datastill.stages import annotate, data, evaluate, tables, train  # fmt: skip
from datastill.synthetic.box_scenes import CATEGORIES
from datastill.tracking.run_record import check, read_record
from datastill.tracking.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("boxes")]

ROW = "co-35_co-80"
IDS = [category["id"] for category in CATEGORIES]


def tiny():
    """The boxes profile on a dozen small images, a few iterations long."""
    params = yaml.safe_load((ROOT / "pipelines" / "boxes" / "params.yaml").read_text())
    params |= {"scale": {"images": 20000, "iterations": 50000}, "root": "."}
    params["data"] |= {"width": 160, "height": 120}
    sets = {name: params["data"]["sets"][name] for name in ("co-35", "co-80", "co-115")}
    for name, images in (("co-35", 24), ("co-80", 14)):
        sets[name]["images"] = images * 20000
    params["data"]["sets"] = sets
    params["data"]["val"]["images"] = 10
    params["train"] |= {"batch": 4, "micro_batch_size": 4, "short_sides": [56, 64], "warmup": 2}
    params["select"]["images_without"] = "keep"  # quality and sensitivity count the same images
    params["views"] |= {"plain_short_side": 64, "short_sides": [48, 64]}
    params["evaluate"] |= {"resamples": 30, "with_views": ["co-35"]}
    for section, rows in (("supervised", ("co-35", "co-115")), ("distilled", (ROW,))):
        params[section] = {row: params[section][f"{row}_seed-3"] for row in rows}
    params["distilled"][ROW]["teacher"] = "co-35"
    return params


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """A project in which every stage of the tiny profile has run, and what `tables` printed."""
    root, before = tmp_path_factory.mktemp("boxes"), Path.cwd()
    (root / "pipelines" / "boxes").mkdir(parents=True)
    (root / "pipelines" / "boxes" / "params.yaml").write_text(yaml.safe_dump(tiny()))
    os.chdir(root)
    profile = open_profile("boxes")
    data.run(profile)
    for row in ("co-35", "co-115"):
        train.run(profile, row)
    annotate.run(profile, ROW)
    train.run(profile, ROW)
    for row in ("co-35", "co-115", ROW):
        evaluate.run(profile, row)
    (root / "printed.txt").write_text(tables.run(profile))
    yield profile
    os.chdir(before)


def read(path):
    return json.loads(path.read_text())


def test_the_model_remembers_its_categories_and_has_no_keypoint_head(profile):
    detector, card = load_detector(profile.weights("co-35"))
    assert [each["id"] for each in card["categories"]] == sorted(IDS)
    assert card["keypoints"] == []
    assert not detector.rcnn.roi_heads.has_keypoint()
    assert detector.rcnn.roi_heads.box_predictor.cls_score.out_features == 1 + len(IDS)


def test_every_candidate_has_a_category_and_the_votes_it_got(profile):
    found = pd.read_parquet(profile.evidence(ROW))
    assert set(found["category_id"]) <= set(IDS)
    assert len(found) > 0
    assert found["views"].between(1, 4).all()
    assert found["box_spread"].between(0, 0.5).all()
    assert {len(points) for points in found["keypoints"]} == {0}


def test_candidates_are_what_the_views_elect_at_the_iou_of_the_params(profile):
    found = pd.read_parquet(profile.evidence(ROW))
    images = {image["id"]: image for image in unlabelled_subset(profile, ROW).images}
    detector, _ = load_detector(profile.weights("co-35"))
    inference, several = teacher_inference(profile, ROW, row_metadata(profile, ROW)), 0
    for image_id, mine in found.groupby("image_id"):
        pixels = load_image(profile.images, images[image_id])
        voted = vote(view_boxes(detector, pixels, inference), 0.8, 100)
        np.testing.assert_allclose(np.stack(mine["box"]), voted.instances.boxes, atol=0.01)
        assert mine["views"].tolist() == voted.evidence.views.tolist()
        several += int((voted.evidence.views > 1).sum())
    assert several


def test_every_category_has_its_own_threshold_in_the_card_and_in_the_evidence(profile):
    card, found = read(profile.annotation_card(ROW)), pd.read_parquet(profile.evidence(ROW))
    labelled = read(profile.image_set("co-35"))
    names = {each["id"]: each["name"] for each in CATEGORIES}
    thresholds = card["thresholds"]["by_category"]
    for number, name in names.items():
        drawn = sum(a["category_id"] == number for a in labelled["annotations"])
        wanted = round(drawn / 24 * 14)
        mine = found[found["category_id"] == number]
        assert (name in thresholds) == (wanted > 0)
        if not wanted:
            assert not mine["accepted"].any()
            continue
        assert thresholds[name]["wanted"] == wanted
        assert mine["accepted"].sum() == thresholds[name]["kept"]
        assert thresholds[name]["kept"] >= min(wanted, len(mine))
        assert mine["accepted"].equals(mine["score"] >= thresholds[name]["value"])
    assert card["instances"] == found["accepted"].sum()


def test_annotations_are_coco_boxes_without_keypoints(profile):
    coco = COCO(str(profile.annotations(ROW)))
    assert {a["category_id"] for a in coco.anns.values()} <= set(IDS)
    assert not any("keypoints" in a for a in coco.anns.values())
    assert [each["id"] for each in coco.loadCats(coco.getCatIds())] == IDS


def test_the_card_judges_boxes_by_iou_and_what_more_or_fewer_would_have_been(profile):
    card = read(profile.annotation_card(ROW))
    assert {"precision50", "recall75", "mean_iou", "by_category"} <= card["quality"].keys()
    assert "mean_oks" not in card["quality"]
    densities = [each["instances_per_image"] for each in card["sensitivity"]]
    assert densities == sorted(densities)
    one = next(each for each in card["sensitivity"] if each["share"] == 1)
    if not any(t["exhausted"] for t in card["thresholds"]["by_category"].values()):
        assert one["precision50"] == pytest.approx(card["quality"]["precision50"], abs=1e-3)
    assert one["recall50"] == pytest.approx(card["quality"]["recall50"], abs=1e-3)


def test_metrics_are_pycocotools_own_with_ap_of_small_boxes(profile):
    truth = COCO(str(profile.image_set("val")))
    evaluation = COCOeval(truth, truth.loadRes(str(profile.detections("co-115"))), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    measured = read(profile.metrics("co-115"))
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    for name, expected in zip(names, evaluation.stats, strict=False):
        value = -1 if measured[name] is None else measured[name] / 100
        assert value == pytest.approx(expected, abs=1e-4)
    seen = match(read_coco(profile.image_set("val")), read(profile.detections("co-115")), "boxes")
    ends = interval(bootstrap(seen, 30), 10)
    assert measured["interval"] == pytest.approx(ends, abs=0.005)
    assert "families" not in measured
    assert set(read(profile.metrics("co-35"))["with_views"]) >= {"ap", "ap_small", "gain"}


def test_frames_of_one_video_make_intervals_wider_and_are_counted(profile):
    path, row = profile.image_set("val"), "co-115"
    kept = path.read_bytes(), profile.metrics(row).read_bytes()
    content, before = json.loads(kept[0]), read(profile.metrics(row))
    for number, image in enumerate(content["images"]):
        image["family"] = content["images"][number // 5 * 5]["id"]
    path.write_text(json.dumps(content))
    evaluate.run(profile, row)
    measured = read(profile.metrics(row))
    assert (measured["images"], measured["families"], measured["ap"]) == (10, 2, before["ap"])
    seen = match(read_coco(path), read(profile.detections(row)), "boxes")
    assert measured["interval"] == pytest.approx(interval(bootstrap(seen, 30), 2), abs=0.005)
    assert measured["interval"] != before["interval"]
    path.write_bytes(kept[0])
    profile.metrics(row).write_bytes(kept[1])


def test_table_4_stands_beside_the_papers(profile):
    table = pd.read_csv(profile.results / "table4.csv")
    assert table["table"].unique().tolist() == ["4a"]
    assert table["role"].tolist() == ["supervised", "distilled", "upper bound"]
    assert table["paper_ap"].tolist() == [30.5, 32.3, 37.1]
    assert table["paper_ap_small"].tolist() == [15.2, 16.8, 20.0]
    assert (profile.results / "table4.png").read_bytes().startswith(b"\x89PNG")
    assert "4a: co-35 labelled, co-80 unlabelled" in Path("printed.txt").read_text()


def test_annotating_again_gives_the_same_bytes(profile):
    before = profile.annotations(ROW).read_bytes()
    annotate.run(profile, ROW)
    assert profile.annotations(ROW).read_bytes() == before


def test_why_names_the_category_and_the_votes_of_every_candidate(profile):
    found = pd.read_parquet(profile.evidence(ROW))
    image_id = int(found["image_id"].iloc[0])
    text = why.run(profile, ROW, image_id)
    mine = found[found["image_id"] == image_id]
    assert text.count("voted for by") == len(mine)
    assert Path(text.splitlines()[-1]).read_bytes().startswith(b"\x89PNG")


def test_plan_counts_categories_and_show_draws_them(profile):
    text, ok = plan.run(profile, pixels=False, probe_seconds=0)
    assert ok
    assert "of 5: person" in text
    assert "IoU of 0.8" in text
    assert show.run(profile, ROW).read_bytes().startswith(b"\x89PNG")


def test_a_model_of_other_categories_is_refused_by_name(profile):
    path = profile.image_set("val")
    kept, val = path.read_text(), read(path)
    val["categories"] = [{**each, "id": each["id"] + 100} for each in val["categories"]]
    for annotation in val["annotations"]:
        annotation["category_id"] += 100
    path.write_text(json.dumps(val))
    with pytest.raises(DataError, match=r"boxes of 1 person.*boxes of 101 person"):
        evaluate.run(profile, "co-35")
    path.write_text(kept)


def test_a_category_of_any_name_is_tracked(profile):
    path = profile.annotation_card(ROW)
    kept, card = path.read_text(), read(path)
    thresholds = card["thresholds"]["by_category"]
    thresholds["vehicle:car/"] = next(iter(thresholds.values()))
    path.write_text(json.dumps(card))
    told = read_record(profile, ROW)
    path.write_text(kept)
    check(told)
    assert "annotations/threshold_of_vehicle_car_" in told.metrics


def test_detections_are_in_the_image_and_of_its_categories(profile):
    detections = read(profile.detections(ROW))
    boxes = np.array([each["bbox"] for each in detections])
    assert len(boxes) > 0
    assert (boxes[:, :2] >= -0.01).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= np.array([160, 120]) + 0.01).all()
    assert {each["category_id"] for each in detections} <= set(IDS)
    per_image = pd.Series([each["image_id"] for each in detections]).value_counts()
    assert per_image.max() <= 100


def test_the_champion_the_exported_folder_and_the_row_answer_alike(profile, tmp_path, monkeypatch):
    import mlflow

    folder = tmp_path / "best"
    export.run(profile, "best", folder, champion=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", Store.of(profile).address)
    champion = mlflow.pyfunc.load_model("models:/datastill-boxes@champion")
    image = next(iter(sorted((profile.images / "val").iterdir())))
    jpeg = base64.b64encode(image.read_bytes()).decode()
    ids = {each["file_name"]: each["id"] for each in read(profile.image_set("val"))["images"]}
    detections = read(profile.detections(export.best(profile)))
    evaluated = [d["bbox"] for d in detections if d["image_id"] == ids[f"val/{image.name}"]]
    for views in (1, 4):
        (answer,) = champion.predict(pd.DataFrame({"image": [jpeg]}), params={"views": views})
        for name in (str(folder), export.best(profile)):
            predictor = find_predictor(name, "boxes", views)
            found = json.loads(predict.run(predictor, [str(image)], None, None))
            assert [r["bbox"] for r in found] == [r["bbox"] for r in answer]
            assert [r["category_id"] for r in found] == [r["category_id"] for r in answer]
            if views == 1:
                np.testing.assert_allclose([r["bbox"] for r in found], evaluated, atol=0.02)
            assert found
