from typing import get_args

import pytest
import yaml
from places import ROOT

from datastill.errors import ParamsError
from datastill.model.backbones import BACKBONES
from datastill.project.loading import RENAMED, load_params
from datastill.project.rows import Backbone

PROFILES = [ROOT, *sorted((ROOT / "pipelines").glob("*"))]


def read(path="params.yaml"):
    return yaml.safe_load((ROOT / path).read_text())


def accepted(folder, raw):
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return load_params(folder / "params.yaml")


def refusal(folder, raw):
    with pytest.raises(ParamsError) as refused:
        accepted(folder, raw)
    return str(refused.value)


@pytest.mark.parametrize("folder", PROFILES, ids=lambda folder: folder.name)
def test_the_params_of_every_profile_are_valid(folder):
    params = load_params(folder / "params.yaml")
    assert (ROOT / params.params_file) == folder / "params.yaml"
    assert (folder / params.root).resolve() == ROOT


@pytest.mark.parametrize("folder", PROFILES[1:], ids=lambda folder: folder.name)
def test_every_profile_runs_the_same_stages(folder):
    assert (folder / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()


def test_params_name_every_backbone_there_is():
    assert set(get_args(Backbone)) == set(BACKBONES)


def test_sets_and_iterations_are_the_papers_at_the_scale():
    params = load_params(ROOT / "params.yaml")
    images = {name: spec.images for name, spec in params.data.sets.items() if name != "co-115"}
    assert images == {"co-35": 35504, "co-80": 82783, "un-120": 123403, "s1m-180": 180000}
    assert {row.iterations for row in params.supervised.values()} == {130000}
    assert {row.iterations for row in params.distilled.values()} == {360000}


def test_a_row_is_not_its_own_teacher_over_others(tmp_path):
    raw = read()
    rows = raw["distilled"]
    rows["co-115_un-120"]["teacher"] = "co-115_s1m-180"
    params = accepted(tmp_path, raw)
    assert params.distilled["co-115_un-120"].teacher == "co-115_s1m-180"
    rows["co-115_s1m-180"]["teacher"] = "co-115_un-120"
    rows["co-35_co-80"]["teacher"] = "co-115_un-120"
    told = refusal(tmp_path, raw)
    assert "has 1 wrong key" in told
    circle = "forms a cycle: co-115_un-120 taught by co-115_s1m-180 taught by"
    assert f"distilled.co-115_un-120.teacher: {circle}" in told


def test_more_views_than_there_are_cost_one_message_before_anything_runs(tmp_path):
    raw = read()
    row = raw["distilled"]["co-35_co-80"]
    row["ablation"] = {"views": 18}
    assert accepted(tmp_path, raw).distilled["co-35_co-80"].ablation.views == 18
    row["ablation"] = {"views": 19}
    assert "ablation.views: expected 1 to 18, found 19" in refusal(tmp_path, raw)


def test_no_more_views_are_to_agree_than_look(tmp_path):
    raw = read()
    raw["select"] |= {"keypoints": "agreement", "min_views": 9}
    accepted(tmp_path, raw)
    raw["distilled"]["co-35_co-80"]["ablation"] = {"views": 4}
    assert "row co-35_co-80 has 4 views, so 9 never agree" in refusal(tmp_path, raw)


def test_a_view_that_is_named_twice_is_refused(tmp_path):
    raw = read()
    raw["views"]["short_sides"].append(raw["views"]["short_sides"][0])
    assert "short_sides: expected each once, found 64 more than once" in refusal(tmp_path, raw)


def test_all_wrong_keys_are_named_at_once(tmp_path):
    raw = read()
    raw["scale"] = -250
    raw["train"]["batch"] = "many"
    raw["train"]["epochs"] = 3
    raw["supervised"]["co-35"]["labelled"] = "co-53"
    raw["distilled"]["co-35_co-80"]["teacher"] = "nobody"
    raw["data"]["sets"]["co-115"]["union"] = ["co-35", "co-08"]
    raw["evaluate"]["with_views"] = ["co-1"]
    del raw["views"]["flip"]
    told = refusal(tmp_path, raw)
    for key in (
        "scale: ",
        "train.batch: ",
        "train.epochs: unknown key",
        "supervised.co-35.labelled: 'co-53' is not a set",
        "distilled.co-35_co-80.teacher: 'nobody' is not a row",
        "data.sets.co-115.union: 'co-08' is not a set",
        "evaluate.with_views: 'co-1' is not a row",
        "views.flip: missing",
    ):
        assert key in told


@pytest.mark.parametrize(
    ("section", "old", "new"),
    [(section, *names) for section, renamed in RENAMED.items() for names in renamed.items()],
)
def test_a_former_name_of_a_key_is_refused_with_the_present_one(tmp_path, section, old, new):
    raw = read()
    raw[section][old] = raw[section].pop(new)
    message = f"has 1 wrong key\n  {section}.{old}: unknown key; it is called {new} now"
    assert refusal(tmp_path, raw).endswith(message)
    raw[section][new] = raw[section][old]
    assert refusal(tmp_path, raw).endswith(message)


def test_former_names_are_refused_all_at_once_and_nowhere_else_known(tmp_path):
    raw = read()
    for section, renamed in RENAMED.items():
        raw[section] |= {old: raw[section].pop(new) for old, new in renamed.items()}
    raw["views"]["base_rate"] = 0.1
    del raw["train"]["momentum"]
    refused = refusal(tmp_path, raw)
    assert "has 11 wrong keys" in refused
    assert refused.count("it is called") == 9
    assert "views.base_rate: unknown key\n" in refused
    assert "train.momentum: missing" in refused


def test_a_set_that_rows_need_and_nobody_defines_is_named(tmp_path):
    raw = read()
    del raw["data"]["sets"]["un-120"]
    assert "distilled.co-115_un-120.unlabelled: 'un-120'" in refusal(tmp_path, raw)


def test_text_that_is_no_yaml_is_said_to_be_none(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("scale: [1\n")
    with pytest.raises(ParamsError, match="is not YAML"):
        load_params(path)


def test_a_profile_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ParamsError, match="no such file"):
        load_params(tmp_path / "pipelines" / "nowhere" / "params.yaml")


def test_a_folder_without_the_images_of_a_set_that_has_no_annotations_is_named(tmp_path):
    raw = read("pipelines/coco/params.yaml")
    others = ["val", "co-35", "un-12", "s1m-180"]
    raw["data"]["sets"]["un-120"] = {"folder": "others", "without": others, "count": None}
    told = refusal(tmp_path, raw)
    for name in ("un-12", "s1m-180"):
        assert f"data.sets.un-120.without: '{name}' is not a set with annotations" in told
    assert "has 2 wrong keys" in told


def test_what_does_not_go_with_boxes_is_named_with_the_reason(tmp_path):
    raw = read("pipelines/boxes/params.yaml")
    raw["tables"] = ["table1"]
    raw["select"] |= {"keypoints": "match", "min_views": 9, "instances": "prior"}
    raw["select"]["per_image"] = 2.0
    told = refusal(tmp_path, raw)
    for text in (
        "has 4 wrong keys",
        "tables: task boxes has no table1",
        "select.keypoints: boxes have no keypoints; write null",
        "select.min_views: boxes have no keypoints; write null",
        "select.instances: one prior cannot serve every category",
    ):
        assert text in told


def test_what_does_not_go_with_keypoints_is_named_with_the_reason(tmp_path):
    raw = read()
    raw["select"]["keypoints"] = None
    raw["data"]["sets"]["co-80"]["style"] = raw["data"]["val"]["style"] = "household"
    told = refusal(tmp_path, raw)
    for text in (
        "has 3 wrong keys",
        "select.keypoints: task keypoints needs a rule for them",
        "data.sets.co-80.style: household has no keypoints",
        "data.val.style: household has no keypoints",
    ):
        assert text in told


@pytest.mark.parametrize("value", [["boxes"], None, "masks"])
def test_a_task_that_there_is_not_is_one_wrong_key(tmp_path, value):
    raw = read()
    raw["task"] = value
    assert "has 1 wrong key\n  task: " in refusal(tmp_path, raw)


@pytest.mark.parametrize("slip", [{"co-115": None}, [1], True, None])
def test_a_slip_of_yaml_where_a_name_is_expected_is_one_message(tmp_path, slip):
    raw = read()
    raw["evaluate"]["with_views"] = [slip]
    assert "evaluate.with_views.0" in refusal(tmp_path, raw)
    raw["evaluate"]["with_views"] = slip
    assert "evaluate.with_views" in refusal(tmp_path, raw)
    raw["data"]["sets"]["co-115"]["union"] = [slip]
    assert "data.sets.co-115" in refusal(tmp_path, raw)
    raw["ensembles"] = {"three": {"first": slip, "second": "co-35", "third": "co-115"}}
    assert "ensembles.three.first" in refusal(tmp_path, raw)


def test_text_in_another_encoding_is_one_message(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes("scale: 1 # größe".encode("latin-1"))
    with pytest.raises(ParamsError, match="is not YAML"):
        load_params(path)


@pytest.mark.parametrize("name", ["my row", "v1.5", "a/b", ""])
@pytest.mark.parametrize("section", ["supervised", "distilled"])
def test_a_row_has_a_name_that_dvc_and_a_command_line_can_take(tmp_path, name, section):
    raw = read()
    raw[section][name] = {**next(iter(raw[section].values()))}
    assert f"{section}.{name}" in refusal(tmp_path, raw)


def test_short_sides_ascend(tmp_path):
    raw = read()
    raw["train"]["short_sides"] = [128, 112]
    assert "train: value error, short_sides: expected the smaller" in refusal(tmp_path, raw)


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


def test_boxes_have_no_heatmaps_whose_logits_could_be_averaged(tmp_path):
    raw = read("pipelines/boxes/params.yaml")
    raw["distilled"]["co-35_co-80"]["ablation"] = {"average": "logits"}
    assert "distilled.co-35_co-80.ablation.average: boxes" in refusal(tmp_path, raw)


@pytest.mark.parametrize(
    ("ablation", "message"),
    [
        ({"views": 1}, "ablation.views needs a teacher; this row has none"),
        ({"start": "teacher"}, "ablation.start needs a teacher; this row has none"),
        ({"view": 1}, "supervised.co-35.ablation.view: unknown key"),
        ({"start": "anywhere"}, "supervised.co-35.ablation.start"),
    ],
)
def test_what_a_row_cannot_do_is_refused(tmp_path, ablation, message):
    raw = read()
    raw["supervised"]["co-35"]["ablation"] = ablation
    assert message in refusal(tmp_path, raw)


def test_an_ensemble_of_what_is_no_model_is_refused(tmp_path):
    raw = read()
    three = {"first": "co-35", "second": "co-115", "third": "co-35"}
    raw["ensembles"] = {"both": {**three, "second": "nobody"}, "co-35": three}
    told = refusal(tmp_path, raw)
    assert "ensembles.both.second: 'nobody' is not a row in supervised" in told
    assert "ensembles.co-35: is also the name of a row" in told
