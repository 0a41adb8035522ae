"""A row of hands that starts from torchvision's detector of people."""

import json
import logging
from pathlib import Path

import pytest
import torch
import yaml
from hands import draw_set, own_params
from safetensors import safe_open

from datastill.errors import DataError
from datastill.io import digest
from datastill.project.loading import load_params
from datastill.project.profile import Profile
from datastill.stages import data, train

FROM_COCO = "from COCO"


@pytest.fixture
def resnet(tmp_path, monkeypatch):
    """A project of a few hands whose teacher starts from the detector in a file."""

    def build(file, iterations=1):
        for name, first in (("labelled", 1), ("unlabelled", 11), ("val", 21)):
            draw_set(tmp_path / "hands", name, 2, first)
        raw = own_params()
        row = {"backbone": "resnet50", "iterations": iterations, "ablation": {"start": "coco"}}
        raw["supervised"]["teacher"] |= row
        raw["train"] |= {"batch": 1, "micro_batch_size": 1, "short_sides": [64, 64]}
        raw["train"]["initial_files"] = {"resnet50": str(file)}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
        monkeypatch.chdir(tmp_path)
        profile = Profile(load_params(Path("params.yaml")))
        data.run(profile)
        return profile

    return build


@pytest.mark.slow
def test_a_row_says_and_records_part_by_part_what_started_from_coco(
    resnet,
    published_file,
    caplog,
):
    file = published_file("keypointrcnn_resnet50_fpn")
    profile = resnet(file)
    caplog.set_level(logging.INFO)
    train.run(profile, "teacher")
    card = json.loads((profile.model("teacher") / "card.json").read_text())
    assert card["initial"] == digest(file)
    assert card["from_coco"] == {
        "body": FROM_COCO,
        "pyramid": FROM_COCO,
        "RPN": FROM_COCO,
        "box head": FROM_COCO,
        "box predictor": "fresh: COCO has no hand",
        "keypoint head": FROM_COCO,
        "keypoint predictor": "fresh: 5 keypoints instead of 17",
    }
    lines = [f"teacher: {part}: {origin}" for part, origin in card["from_coco"].items()]
    assert [message for message in caplog.messages if message.startswith("teacher: ")] == lines
    stored = torch.load(file, weights_only=True)
    with safe_open(profile.weights("teacher"), "pt") as trained:
        assert json.loads(trained.metadata()["card"])["start"] == "coco"
        for name, still in (("body.conv1.weight", True), ("body.layer4.0.conv1.weight", False)):
            tensor = trained.get_tensor(f"rcnn.backbone.{name}")
            assert torch.equal(tensor, stored[f"backbone.{name}"]) == still  # frozen, or trained
            torch.testing.assert_close(tensor, stored[f"backbone.{name}"], atol=0.1, rtol=0)


def test_a_file_of_another_network_stops_the_row_before_anything_is_written(resnet, tmp_path):
    torch.save({"conv1.weight": torch.ones(64, 3, 7, 7)}, tmp_path / "resnet50.pth")
    profile = resnet(tmp_path / "resnet50.pth")
    with pytest.raises(
        DataError, match=r"resnet50\.pth: expected the tensors of torchvision's key"
    ):
        train.run(profile, "teacher")
    assert not profile.training("teacher").exists()
    assert not profile.model("teacher").exists()
