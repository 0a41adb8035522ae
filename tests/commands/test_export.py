"""Command `export`: what leaves the project can be used without it, and says where it is from."""

import errno
import json
import pickletools
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from places import ROOT
from pycocotools.coco import COCO
from safetensors import safe_open

from datastill.coco.format import read_coco
from datastill.coco.normalize import read_published
from datastill.commands import export
from datastill.commands.predictors import find_predictor
from datastill.errors import DataError, ParamsError
from datastill.inference.predictor import load_folder
from datastill.io import digest
from datastill.model.checkpoint import load_detector, save_weights
from datastill.project.profile import open_profile
from datastill.tracking.run_record import read_record


@pytest.fixture
def exported(profile, tmp_path):
    """The folder of the student."""
    export.run(profile, "student", tmp_path / "student", champion=False)
    return tmp_path / "student"


def card_of(folder):
    return json.loads((folder / "card.json").read_text())


def test_the_folder_holds_plain_data_alone(exported):
    assert {path.name for path in exported.iterdir()} == {
        "weights.safetensors", "card.json", "annotations.json",
    }  # fmt: skip
    with safe_open(exported / "weights.safetensors", framework="pt") as weights:
        assert list(weights.keys())
    for path in exported.iterdir():
        with pytest.raises(ValueError, match=r"opcode|pickle"):
            list(pickletools.genops(path.read_bytes()))


def test_files_that_no_export_wrote_are_kept(profile, tmp_path):
    """A training run's card, and the user's own annotations."""
    (tmp_path / "annotations.json").write_text("mine")
    for folder, name in ((profile.model("student"), "card.json"), (tmp_path, "annotations.json")):
        kept = (folder / name).read_bytes()
        with pytest.raises(DataError, match=f"{folder}: {name} is there, and no export wrote it"):
            export.run(profile, "student", folder, champion=False)
        assert (folder / name).read_bytes() == kept
    assert [path.name for path in tmp_path.iterdir()] == ["annotations.json"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder of Linux")
def test_a_folder_that_cannot_be_made_is_refused(profile):
    with pytest.raises(ParamsError, match="/proc/x: this folder cannot be made or written to: No"):
        export.run(profile, "student", Path("/proc/x"), champion=False)


def test_an_export_that_was_interrupted_is_refused_and_can_be_repeated(
    profile, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(export.shutil, "copyfile", full)
        with pytest.raises(OSError, match="No space left"):
            export.run(profile, "student", tmp_path / "student", champion=False)
    with pytest.raises(DataError, match="no such file; export the model again"):
        load_folder(tmp_path / "student")
    export.run(profile, "student", tmp_path / "student", champion=False)
    assert load_folder(tmp_path / "student").metadata.categories


def test_mlflow_is_told_what_was_measured(profile):
    metrics = json.loads(profile.metrics("teacher").read_text())
    logged = read_record(profile, "teacher").metrics
    ends = [logged["val/keypoints/ap_low"], logged["val/keypoints/ap_high"]]
    assert ends == metrics["interval"]
    assert logged["val/keypoints/ap_with_views"] == metrics["with_views"]["ap"]


def test_the_card_says_what_it_finds_how_and_how_well(profile, exported):
    card, measured = card_of(exported), json.loads(profile.metrics("student").read_text())
    assert [category["name"] for category in card["categories"]] == ["hand"]
    assert card["keypoints"] == ["wrist", "thumb", "index", "ring", "little"]
    assert card["swap"] == [0, 1, 2, 3, 4]
    assert card["oks"] == {"sigmas": [0.072] * 5, "from": "constant"}
    assert (card["task"], card["backbone"]) == ("keypoints", "small")
    assert card["views"] == profile.params.views.model_dump()
    assert card["measured"]["ap"] == measured["ap"]
    assert card["measured"]["interval"] == measured["interval"]


@pytest.mark.parametrize(
    "change",
    [
        {"flip": "yes"},
        {"short_sides": []},
        {"short_sides": [96, 0]},
        {"voting_iou": 1.5},
        {"batch": True},
        {"precision": "8"},
        {"long_side": None},
    ],
)
def test_view_settings_of_a_card_that_was_edited_are_refused_by_key(exported, change):
    card, (key,) = card_of(exported), change
    card["views"] |= change
    (exported / "card.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match=rf"card\.json: views\.{key}: .*export the model again"):
        find_predictor(str(exported), "nowhere")


def test_the_card_names_everything_the_model_came_from_by_digest(profile, exported):
    lineage = card_of(exported)["lineage"]
    trained = json.loads((profile.model("student") / "card.json").read_text())
    assert lineage["weights"] == digest(exported / "weights.safetensors")
    assert lineage["teacher"] == "teacher"
    assert lineage["teacher_weights"] == digest(profile.weights("teacher"))
    assert lineage["annotations"] == digest(profile.annotations("student"))
    assert lineage["image_sets"] == {
        name: digest(profile.image_set(name)) for name in ("labelled", "unlabelled", "val")
    }
    assert lineage["code"] == trained["code"]
    assert lineage["fingerprint"] == trained["fingerprint"]


def test_the_card_is_of_the_row_as_it_was_trained(profile, exported, tmp_path):
    params = profile.params
    student = params.distilled["student"].model_copy(update={"seed": 7, "teacher": "student"})
    changed = replace(profile, params=params.model_copy(update={"distilled": {"student": student}}))
    export.write_model(changed, "student", tmp_path / "changed")
    assert card_of(tmp_path / "changed")["lineage"] == card_of(exported)["lineage"]


def test_generated_annotations_are_coco_for_annotation_tools(profile, exported):
    content = json.loads((exported / "annotations.json").read_text())
    assert set(content) == {"info", "licenses", "images", "annotations", "categories"}
    assert "generated by datastill's teacher teacher" in content["info"]["description"]
    assert content["info"]["sha256"] == digest(profile.annotations("student"))
    for image in content["images"]:
        assert not Path(image["file_name"]).is_absolute()
        assert (profile.images / image["file_name"]).is_file()
    read = COCO(str(exported / "annotations.json"))
    ours = json.loads(profile.annotations("student").read_text())["annotations"]
    assert list(read.anns.values()) == ours
    assert all(0 < a["score"] <= 1 for a in read.anns.values())
    (hand,) = read.cats.values()
    assert (hand["supercategory"], hand["skeleton"][0]) == ("hand", [1, 2])


def test_a_supervised_row_has_no_annotations_to_export(profile, tmp_path):
    printed = export.run(profile, "teacher", tmp_path / "teacher", champion=False)
    assert not (tmp_path / "teacher" / "annotations.json").exists()
    assert "teacher" not in card_of(tmp_path / "teacher")["lineage"]
    assert f"datastill predict {tmp_path / 'teacher'}" in printed


def test_the_best_row_is_that_with_the_highest_ap(profile, tmp_path):
    aps = {r: json.loads(profile.metrics(r).read_text())["ap"] for r in ("teacher", "student")}
    assert aps["teacher"] != aps["student"]
    export.run(profile, "best", tmp_path / "best", champion=False)
    assert card_of(tmp_path / "best")["name"] == max(aps, key=aps.get)


def test_in_a_clone_without_weights_the_best_row_asks_for_them(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    clone = open_profile("miniature")
    with pytest.raises(DataError, match="no row is evaluated; run `datastill evaluate ROW` first"):
        export.best(clone)
    shutil.copytree(ROOT / "results/miniature", "results/miniature")
    message = r"weights\.safetensors: no such file, .*`dvc pull dvc\.yaml` or `dvc repro dvc\.yaml`"
    with pytest.raises(DataError, match=message):
        export.best(clone)


def test_numbers_of_other_weights_are_none_of_this_models(profile, tmp_path):
    kept = profile.metrics("teacher").read_text()
    metrics = json.loads(kept)
    metrics["provenance"]["weights"] = "another"
    profile.metrics("teacher").write_text(json.dumps(metrics))
    try:
        export.run(profile, "teacher", tmp_path / "teacher", champion=False)
        with pytest.raises(DataError, match="its AP is not known; run `datastill evaluate"):
            export.run(profile, "teacher", tmp_path / "teacher", champion=True)
        assert export.best(profile) == "student"
    finally:
        profile.metrics("teacher").write_text(kept)
    card = card_of(tmp_path / "teacher")
    assert (card["measured"], card["thresholds"]) == ({}, {})


def test_weights_of_before_there_were_categories_in_them_ask_for_a_training(profile, tmp_path):
    weights = profile.weights("teacher")
    kept = weights.read_bytes()
    detector, card = load_detector(weights)
    save_weights(weights, detector, {k: v for k, v in card.items() if k != "categories"})
    try:
        with pytest.raises(DataError, match="train the row again"):
            export.run(profile, "teacher", tmp_path / "new", champion=False)
        with pytest.raises(DataError, match="train the row again"):
            find_predictor("teacher", "miniature")
    finally:
        weights.write_bytes(kept)
    assert not (tmp_path / "new").exists()


def test_a_row_that_is_none_or_not_trained_leaves_nothing(profile, tmp_path):
    with pytest.raises(ParamsError, match="no row 'nobody'"):
        export.run(profile, "nobody", tmp_path / "new", champion=False)
    weights = profile.weights("teacher")
    weights.rename(weights.with_name("aside"))
    try:
        with pytest.raises(DataError, match="train this row first"):
            export.run(profile, "teacher", tmp_path / "new", champion=False)
    finally:
        weights.with_name("aside").rename(weights)
    assert not (tmp_path / "new").exists()


def test_a_yolo_set_has_its_images_restored_and_is_checked_before_anything_is_written(
    tmp_path, monkeypatch
):
    params = tmp_path / "pipelines/boxes/params.yaml"
    params.parent.mkdir(parents=True)
    shutil.copy(ROOT / "pipelines/boxes/params.yaml", params)
    (tmp_path / "mine/yolo").mkdir(parents=True)
    (tmp_path / "mine/yolo/data.yaml").write_text("train: images\n")
    monkeypatch.chdir(tmp_path)
    profile = open_profile("boxes")
    row, spec = next(iter(profile.params.distilled.items()))
    image = {"id": 1, "file_name": "a.png", "width": 9, "height": 9}
    content = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    profile.annotations(row).parent.mkdir(parents=True)
    profile.annotations(row).write_text(json.dumps(content))

    def restore(_, names):
        assert names == [spec.unlabelled]
        profile.images.mkdir()
        (profile.images / "a.png").touch()

    monkeypatch.setattr(export, "restore", restore)
    with pytest.raises(DataError, match="mine/yolo: expected no folder, or a YOLO data set that"):
        export.run(profile, row, Path("mine"), champion=False, yolo=True)
    assert (profile.images / "a.png").is_file()
    assert [path.name for path in Path("mine").iterdir()] == ["yolo"]


def test_generated_annotations_are_also_a_yolo_data_set(profile, tmp_path):
    said = export.run(profile, "student", tmp_path / "out", champion=False, yolo=True)
    assert "yolo/data.yaml: the same as a YOLO data set" in said
    again, ours = (
        read_published(tmp_path / "out/yolo/data.yaml"),
        read_coco(profile.annotations("student")),
    )
    assert len(again.images) == len(ours.images)
    assert len(again.annotations) == len(ours.annotations)
    with pytest.raises(DataError, match="teacher: expected generated annotations for --yolo"):
        export.run(profile, "teacher", tmp_path / "none", champion=False, yolo=True)
    assert not (tmp_path / "none").exists()


def test_another_row_exported_to_the_folder_replaces_all_that_the_former_export_wrote(
    profile, tmp_path
):
    (tmp_path / "notes.txt").write_text("mine")
    for yolo in (True, False):  # the same annotations stay
        export.run(profile, "student", tmp_path, champion=False, yolo=yolo)
        assert (tmp_path / "yolo/data.yaml").is_file()
    export.run(profile, "teacher", tmp_path, champion=False)
    kept = {"card.json", "weights.safetensors", "notes.txt"}
    assert {path.name for path in tmp_path.iterdir()} == kept
    others = {"annotations.json": "mine", "yolo/data.yaml": "train: images"}
    export.run(profile, "student", tmp_path, champion=False)
    for name, text in others.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    export.run(profile, "teacher", tmp_path, champion=False)
    assert {name: (tmp_path / name).read_text() for name in others} == others


def test_annotations_that_the_model_did_not_learn_from_are_told_apart(profile, tmp_path):
    path = profile.annotations("student")
    kept = path.read_text()
    assert "made anew" not in export.run(profile, "student", tmp_path, champion=False)
    path.write_text(kept + "\n")
    try:
        said = export.run(profile, "student", tmp_path, champion=False)
        assert "its generated annotations, made anew since this model was trained" in said
        assert card_of(tmp_path)["lineage"]["annotations"] != digest(path)
    finally:
        path.write_text(kept)


def test_numbers_from_before_val_was_corrected_are_none_of_this_models(profile, tmp_path):
    val = profile.image_set("val")
    kept = val.read_text()
    content = json.loads(kept)
    content["annotations"].pop()
    val.write_text(json.dumps(content, separators=(",", ":")))
    try:
        export.run(profile, "student", tmp_path / "student", champion=False)
        with pytest.raises(DataError, match="its AP is not known; run `datastill evaluate"):
            export.run(profile, "student", tmp_path / "student", champion=True)
        assert not [name for name in read_record(profile, "student").metrics if name[:4] == "val/"]
    finally:
        val.write_text(kept)
    card = card_of(tmp_path / "student")
    assert (card["measured"], card["thresholds"]) == ({}, {})
