"""Teachers that are not trained here: an exported folder, and torchvision's detector."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from hands import own_params
from short_training import draw_set

from datastill.coco.format import write_coco
from datastill.commands import export
from datastill.errors import DataError, ParamsError
from datastill.io import digest
from datastill.model.checkpoint import load_detector
from datastill.project.loading import load_params
from datastill.project.profile import Profile
from datastill.scheduler.graph import read_graph
from datastill.stages import annotate, data, teacher

KEYPOINTS, BOXES = "keypointrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn"


def write(raw):
    Path("params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return Profile(load_params(Path("params.yaml")))


@pytest.fixture
def exported(hands, tmp_path, monkeypatch):
    """A copy of the project of hands whose student has a teacher that was exported from it."""
    shutil.copytree(hands, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")
    raw = yaml.safe_load(Path("params.yaml").read_text())
    export.run(write(raw), "teacher", Path("other/hands"), champion=False)
    raw["teachers"] = {"exported": {"elsewhere": "other/hands"}}
    raw["distilled"]["student"]["teacher"] = "elsewhere"
    return write(raw)


def test_an_exported_folder_annotates_as_the_row_that_it_came_from(exported):
    annotations, card = (
        exported.annotations("student"),
        exported.annotation_card("student"),
    )
    before, facts = annotations.read_bytes(), json.loads(card.read_text())
    assert len(json.loads(before)["annotations"]) > 0
    for path in (annotations, exported.evidence("student"), card):
        path.unlink()
    shutil.rmtree(exported.work / "shards")
    shutil.rmtree(exported.model("teacher"))
    teacher.run(exported, "elsewhere")
    annotate.run(exported, "student")
    assert annotations.read_bytes() == before
    again = json.loads(card.read_text())
    assert again["provenance"]["teacher_weights"] == facts["provenance"]["teacher_weights"]
    assert again["expected"] == facts["expected"]
    assert again["teacher"] == "elsewhere"


def test_a_folder_that_is_no_model_leaves_no_teacher(exported):
    (Path("other/hands") / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(DataError, match="not the weights of its card"):
        teacher.run(exported, "elsewhere")
    assert not exported.model("elsewhere").exists()
    command = "run `datastill teacher elsewhere` first"
    shutil.rmtree(exported.work / "shards")
    with pytest.raises(DataError, match=command):
        annotate.run(exported, "student")
    with pytest.raises(ParamsError, match="no teacher 'nobody'; there are elsewhere"):
        teacher.run(exported, "nobody")


@pytest.fixture
def ready(tmp_path, monkeypatch, published_file):
    """A project of few images, of one person each, with torchvision's detector as teacher."""
    monkeypatch.chdir(tmp_path)

    def build(published=KEYPOINTS):
        for name, first in (("labelled", 1), ("unlabelled", 11), ("val", 21)):
            coco = draw_set(Path("hands") / name, first, 2)
            write_coco(Path("hands") / f"{name}.json", coco)
        raw = own_params()
        raw["teachers"] = {"torchvision": {"ready": published}}
        raw["train"]["initial_files"] = {"resnet50": str(published_file(published))}
        raw["distilled"]["student"]["teacher"] = "ready"
        raw["views"] |= {"short_sides": [64], "plain_short_side": 64}
        if published == BOXES:
            raw |= {"task": "boxes", "tables": ["table4"]}
            raw["select"]["keypoints"] = None
        return write(raw)

    return build


@pytest.mark.slow
@pytest.mark.parametrize("published_name", [KEYPOINTS, BOXES])
@torch.inference_mode()
def test_torchvisions_detector_predicts_as_torchvision_from_its_file(
    ready, published, published_file, published_name
):
    profile = ready(published_name)
    teacher.run(profile, "ready")
    detector, card = load_detector(profile.weights("ready"))
    assert card["initial"] == digest(published_file(published_name))
    images = [torch.rand(3, 128, 160, generator=torch.Generator().manual_seed(7))]
    (ours,) = detector.boxes(*detector.features(images))
    most = detector.rcnn.roi_heads.detections_per_img
    (other,) = published(published_name, min_size=128, box_detections_per_img=most)(images)
    assert len(ours.boxes) >= 5
    ids = [card["categories"][label - 1]["id"] for label in ours.labels]
    assert ids == other["labels"].tolist()
    torch.testing.assert_close(ours.scores, other["scores"], atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.boxes, other["boxes"], atol=1e-3, rtol=0)


@pytest.mark.slow
def test_torchvisions_detector_annotates_people_without_a_training(ready):
    profile = ready()
    data.run(profile)
    teacher.run(profile, "ready")
    annotate.run(profile, "student")
    card = json.loads(profile.annotation_card("student").read_text())
    assert card["teacher"] == "ready"
    assert card["provenance"]["teacher_weights"] == digest(profile.weights("ready"))
    assert "expected" in card
    generated = json.loads(profile.annotations("student").read_text())["annotations"]
    assert len(generated) >= 2  # as many per image as the labelled images have
    assert {len(each["keypoints"]) for each in generated} == {51}


@pytest.mark.slow
def test_a_teacher_of_something_else_is_one_error(ready, write_hands):
    profile = ready()
    shutil.rmtree("hands")
    for name, first in (("labelled", 1), ("unlabelled", 11), ("val", 21)):
        write_hands(Path("hands"), name, 2, first)
    data.run(profile)
    teacher.run(profile, "ready")
    with pytest.raises(DataError, match=r"17 keypoints of 1 person.*ready cannot be their teacher"):
        annotate.run(profile, "student")
    assert not profile.annotations("student").exists()


@pytest.mark.slow
def test_dvc_makes_a_teacher_before_what_it_annotates(project, monkeypatch):
    monkeypatch.chdir(project.root)
    params = project.params()
    Path("mine").mkdir()
    for name in ("card.json", "weights.safetensors"):
        (Path("mine") / name).touch()
    params["teachers"] = {"torchvision": {"ready": KEYPOINTS}, "exported": {"own": "mine"}}
    row = params["distilled"]["co-35_co-80"]
    params["distilled"]["again"] = {**row, "teacher": "own", "seed": 1}
    row["teacher"] = "ready"
    project.write_params(params)
    graph = read_graph(Path("dvc.yaml"))
    assert "teacher-torchvision@ready" in graph.upstream["annotate@co-35_co-80"]
    assert "teacher-exported@own" in graph.upstream["annotate@again"]
    assert "supervised@co-35" not in graph.upstream["annotate@again"]
