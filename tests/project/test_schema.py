"""The sections by themselves."""

from typing import get_args

import pytest
from places import ROOT
from raw_params import read, refusal

from datastill.model.backbones import BACKBONES
from datastill.project.loading import load_params
from datastill.project.rows import Backbone


def test_sets_and_iterations_are_the_papers_at_the_scale():
    params = load_params(ROOT / "params.yaml")
    images = {name: spec.images for name, spec in params.data.sets.items() if name != "co-115"}
    assert images == {"co-35": 35504, "co-80": 82783, "un-120": 123403, "s1m-180": 180000}
    assert {row.iterations for row in params.supervised.values()} == {130000}
    assert {row.iterations for row in params.distilled.values()} == {360000}


def test_params_name_every_backbone_there_is():
    assert set(get_args(Backbone)) == set(BACKBONES)


def test_a_view_that_is_named_twice_is_refused(tmp_path):
    raw = read()
    raw["views"]["short_sides"].append(raw["views"]["short_sides"][0])
    assert "short_sides: expected each once, found 64 more than once" in refusal(tmp_path, raw)


def test_short_sides_ascend(tmp_path):
    raw = read()
    raw["train"]["short_sides"] = [128, 112]
    assert "train: value error, short_sides: expected the smaller" in refusal(tmp_path, raw)


@pytest.mark.parametrize("name", ["my row", "v1.5", "a/b", ""])
@pytest.mark.parametrize("section", ["supervised", "distilled"])
def test_a_row_has_a_name_that_dvc_and_a_command_line_can_take(tmp_path, name, section):
    raw = read()
    raw[section][name] = {**next(iter(raw[section].values()))}
    assert f"{section}.{name}" in refusal(tmp_path, raw)


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
