"""The picture of the method: what it needs, and where a keypoint is in a view."""

import shutil
from pathlib import Path

import pytest
import torch
from places import ROOT

from datastill.commands import picture
from datastill.errors import DataError, ParamsError
from datastill.inference.views import View
from datastill.project.profile import open_profile


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("boxes", ParamsError, "expected a distilled row of keypoints"),
        ("miniature", DataError, r"table1.csv: no such file; run `datastill tables` first"),
    ],
)
def test_a_profile_without_its_parts_is_one_sentence(name, error, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "pipelines/boxes", "pipelines/boxes")
    shutil.copy(ROOT / "params.yaml", ".")
    with pytest.raises(error, match=sentence):
        picture.run(open_profile(name))
    assert not Path("results").exists()


def test_a_keypoint_is_where_the_mirrored_view_shows_it():
    view, image = View(50, 200, flip=True), torch.zeros(3, 100, 200, dtype=torch.uint8)
    (shown,) = picture._in_view(view, torch.tensor([[[20.0, 40.0]]]), image)
    assert shown["keypoints"] == [90.0, 20.0, 2.0]


def test_views_are_shown_upright_and_mirrored_in_three_sizes():
    sides = (64, 80, 96, 112, 128, 144, 160, 176, 192)
    views = [View(side, 360, flip) for side in sides for flip in (False, True)]
    shown = [views[index] for index in picture._shown(views)]
    assert [(view.short_side, view.flip) for view in shown] == [
        (96, False), (144, False), (192, False), (96, True), (144, True), (192, True)
    ]  # fmt: skip


def test_an_object_that_an_edge_cuts_is_less_clear_than_a_whole_one():
    image = {"width": 100, "height": 100}
    whole = {"bbox": [20, 20, 50, 50], "keypoints": [1, 1, 2], "score": 0.5}
    cut = whole | {"bbox": [0, 20, 50, 50], "score": 0.9}
    assert picture._clarity(whole, image) > picture._clarity(cut, image)
