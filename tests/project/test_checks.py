"""Sections that contradict each other."""

import pytest
from raw_params import accepted, read, refusal


def test_a_set_that_rows_need_and_nobody_defines_is_named(tmp_path):
    raw = read()
    del raw["data"]["sets"]["un-120"]
    assert "distilled.co-115_un-120.unlabelled: 'un-120'" in refusal(tmp_path, raw)


def test_a_folder_without_the_images_of_a_set_that_has_no_annotations_is_named(tmp_path):
    raw = read("pipelines/coco/params.yaml")
    others = ["val", "co-35", "un-12", "s1m-180"]
    raw["data"]["sets"]["un-120"] = {"folder": "others", "without": others, "count": None}
    refused = refusal(tmp_path, raw)
    for name in ("un-12", "s1m-180"):
        assert f"data.sets.un-120.without: '{name}' is not a set with annotations" in refused
    assert "has 2 wrong keys" in refused


@pytest.mark.parametrize("name", ["co-115", "co-35-1", "nothing", "val"])
def test_only_a_drawn_set_is_drawn_anew(tmp_path, name):
    raw = read()
    sets = raw["data"]["sets"]
    sets["co-35-1"] = {"redraws": "co-35", "seed": 1}
    assert accepted(tmp_path, raw)
    sets["anew"] = {"redraws": name, "seed": 1}
    message = f"has 1 wrong key\n  data.sets.anew.redraws: {name!r} is not a set with a seed"
    assert refusal(tmp_path, raw).endswith(message)


def test_a_set_of_files_is_not_drawn_anew(tmp_path):
    raw = read("pipelines/coco/params.yaml")
    raw["data"]["sets"]["anew"] = {"redraws": "co-35", "seed": 1}
    assert "data.sets.anew.redraws: 'co-35' is not a set with a seed" in refusal(tmp_path, raw)


@pytest.mark.parametrize("seed", [-1, None, "1"])
def test_a_set_is_drawn_anew_from_a_seed(tmp_path, seed):
    raw = read()
    raw["data"]["sets"]["anew"] = {"redraws": "co-35", "seed": seed}
    assert "has 1 wrong key\n  data.sets.anew.seed: " in refusal(tmp_path, raw)


def test_an_ensemble_consists_of_supervised_rows(tmp_path):
    raw = read()
    three = {"first": "co-35", "second": "co-115", "third": "co-35"}
    raw["ensembles"] = {"both": {**three, "second": "nobody"}, "co-35": three}
    refused = refusal(tmp_path, raw)
    assert "ensembles.both.second: 'nobody' is not a row in supervised" in refused
    assert "ensembles.co-35: is also the name of a row" in refused


def test_a_ready_teacher_is_optional_and_teaches_like_a_row(tmp_path):
    raw = read()
    assert accepted(tmp_path, raw).teachers.names() == []
    raw["teachers"] = {"torchvision": {"ready": "keypointrcnn_resnet50_fpn"}}
    raw["distilled"]["co-35_co-80"]["teacher"] = "ready"
    params = accepted(tmp_path, raw)
    assert params.models("ready") == []  # none of the profile's rows
    assert params.models("co-35") == [params.supervised["co-35"]]
    del raw["teachers"]
    reason = "'ready' is not a row, an ensemble or one of teachers"
    assert f"distilled.co-35_co-80.teacher: {reason}" in refusal(tmp_path, raw)


def test_a_ready_teacher_that_does_not_fit_the_profile_is_refused_by_its_path(tmp_path):
    raw = read()
    boxes = "fasterrcnn_resnet50_fpn"
    raw["teachers"] = {"torchvision": {"a": boxes, "b": "vit"}, "exported": {"co-35": "x"}}
    refused = refusal(tmp_path, raw)
    assert "has 3 wrong keys" in refused
    assert "teachers.torchvision.a: detects boxes, not keypoints" in refused
    assert "teachers.torchvision.b: " in refused
    assert "teachers.exported.co-35: is also the name of another model" in refused


def test_rows_do_not_teach_each_other_in_a_cycle(tmp_path):
    raw = read()
    rows = raw["distilled"]
    rows["co-115_un-120"]["teacher"] = "co-115_s1m-180"
    params = accepted(tmp_path, raw)
    assert params.distilled["co-115_un-120"].teacher == "co-115_s1m-180"
    rows["co-115_s1m-180"]["teacher"] = "co-115_un-120"
    rows["co-35_co-80"]["teacher"] = "co-115_un-120"
    refused = refusal(tmp_path, raw)
    assert "has 1 wrong key" in refused
    circle = "forms a cycle: co-115_un-120 taught by co-115_s1m-180 taught by"
    assert f"distilled.co-115_un-120.teacher: {circle}" in refused


def test_more_views_than_there_are_cost_one_message_before_anything_runs(tmp_path):
    raw = read()
    row = raw["distilled"]["co-35_co-80"]
    row["ablation"] = {"views": 18}
    assert accepted(tmp_path, raw).distilled["co-35_co-80"].ablation.views == 18
    row["ablation"] = {"views": 19}
    assert "ablation.views: expected 1 to 18, found 19" in refusal(tmp_path, raw)


def test_no_more_views_must_agree_than_there_are(tmp_path):
    raw = read()
    raw["select"] |= {"keypoints": "agreement", "min_views": 9}
    accepted(tmp_path, raw)
    raw["distilled"]["co-35_co-80"]["ablation"] = {"views": 4}
    assert "row co-35_co-80 has 4 views, so 9 never agree" in refusal(tmp_path, raw)


@pytest.mark.parametrize(
    ("teacher", "reason"),
    [("co-115", "co-115 has backbone slim, not small"), ("three", "three is three models")],
)
def test_a_student_starts_from_a_teacher_that_is_like_it(tmp_path, teacher, reason):
    raw = read()
    raw["supervised"]["co-115"]["backbone"] = "slim"
    raw["ensembles"] = {"three": {"first": "co-35", "second": "co-35", "third": "co-35"}}
    student = raw["distilled"]["co-115_un-120"]
    student |= {"teacher": teacher, "ablation": {"start": "teacher"}}
    assert f"distilled.co-115_un-120.ablation.start: {reason}" in refusal(tmp_path, raw)
    student["teacher"] = "co-35"
    assert accepted(tmp_path, raw)


def test_a_row_starts_from_coco_if_torchvision_has_a_detector_on_its_backbone(tmp_path):
    raw = read()
    raw["train"]["start"] = "coco"
    for row in (*raw["supervised"].values(), *raw["distilled"].values()):
        row["backbone"] = "resnet50"
    assert accepted(tmp_path, raw)
    raw["supervised"]["co-35"]["backbone"] = "resnet101"
    reason = "cannot start from coco: torchvision's detectors on COCO have resnet50"
    assert f"supervised.co-35.backbone: {reason}" in refusal(tmp_path, raw)
    raw["supervised"]["co-35"]["ablation"] = {"start": "initial"}
    assert accepted(tmp_path, raw)


@pytest.mark.parametrize(
    ("params", "table"), [("params.yaml", "table1"), ("pipelines/boxes/params.yaml", "table4")]
)
def test_a_profile_without_students_is_refused_before_anything_is_trained(tmp_path, params, table):
    raw = read(params)
    raw["distilled"] = {}
    reason = f"distilled: there is no row for {table} to compare with its teacher"
    assert reason in refusal(tmp_path, raw)


def test_what_does_not_fit_boxes_is_named_with_the_reason(tmp_path):
    raw = read("pipelines/boxes/params.yaml")
    raw["tables"] = ["table1"]
    raw["select"] |= {"keypoints": "match", "min_views": 9, "instances": "prior"}
    raw["select"]["per_image"] = 2.0
    refused = refusal(tmp_path, raw)
    for text in (
        "has 4 wrong keys",
        "tables: task boxes has no table1",
        "select.keypoints: boxes have no keypoints; write null",
        "select.min_views: boxes have no keypoints; write null",
        "select.instances: one prior cannot serve every category",
    ):
        assert text in refused


@pytest.mark.parametrize(
    ("ablation", "reason"),
    [
        ({"average": "logits"}, "average: boxes have no heatmaps to average"),
        ({"keypoints": "all"}, "keypoints: boxes have no keypoints"),
    ],
)
def test_boxes_have_neither_heatmaps_nor_keypoints_to_depart_with(tmp_path, ablation, reason):
    raw = read("pipelines/boxes/params.yaml")
    row = next(iter(raw["distilled"]))
    raw["distilled"][row]["ablation"] = ablation
    assert refusal(tmp_path, raw).endswith(f"1 wrong key\n  distilled.{row}.ablation.{reason}")
    raw["distilled"][row]["ablation"] = {"images_without": "keep"}
    assert accepted(tmp_path, raw)


def test_what_does_not_fit_keypoints_is_named_with_the_reason(tmp_path):
    raw = read()
    raw["select"]["keypoints"] = None
    raw["data"]["sets"]["co-80"]["style"] = raw["data"]["val"]["style"] = "household"
    refused = refusal(tmp_path, raw)
    for text in (
        "has 3 wrong keys",
        "select.keypoints: task keypoints needs a rule for them",
        "data.sets.co-80.style: household has no keypoints",
        "data.val.style: household has no keypoints",
    ):
        assert text in refused


@pytest.mark.parametrize("value", [["boxes"], None, "masks"])
def test_a_task_that_there_is_not_is_one_wrong_key(tmp_path, value):
    raw = read()
    raw["task"] = value
    assert "has 1 wrong key\n  task: " in refusal(tmp_path, raw)
