"""The sections by themselves."""

from typing import get_args

import pytest
from places import ROOT
from raw_params import accepted, read, refusal

from datastill.model.backbones import BACKBONES
from datastill.project.data_schema import original_set
from datastill.project.loading import load_params
from datastill.project.rows import Backbone
from datastill.project.section import MAX_SEED


def test_sets_and_iterations_are_the_papers_at_the_scale():
    params = load_params(ROOT / "params.yaml")
    images = {name: spec.images for name, spec in params.data.sets.items() if name != "co-115"}
    assert images == {"co-35": 35504, "co-80": 82783, "un-120": 123403, "s1m-180": 180000}
    assert {row.iterations for row in params.rows().values()} == {360000}


def test_images_and_iterations_are_scaled_apart(tmp_path):
    raw = read()
    raw["scale"] = {"images": 1000, "iterations": 250.5}
    params = accepted(tmp_path, raw)
    assert params.scaled_images(35504) == 36
    assert params.scaled_iterations(1002) == 4
    assert params.scaled_images(3) == params.scaled_iterations(3) == 1


@pytest.mark.parametrize("scale", [600, 0.5])
def test_one_scale_for_both_is_refused_with_what_to_write(tmp_path, scale):
    raw = read()
    raw["scale"] = scale
    both = f"{{images: {scale}, iterations: {scale}}}"
    assert refusal(tmp_path, raw).endswith(
        f"has 1 wrong key\n  scale: value error, expected a number for each, such as {both}, "
        f"found {scale}"
    )


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ({"images": 600}, "scale.iterations: missing"),
        ({"images": 0, "iterations": 1}, "scale.images: "),
        ({"images": 1, "iterations": -1}, "scale.iterations: "),
        ({"images": 1, "iterations": 1, "val": 1}, "scale.val: unknown key"),
        (None, "scale: "),
    ],
)
def test_a_scale_has_two_numbers_above_0(tmp_path, scale, message):
    raw = read()
    raw["scale"] = scale
    assert f"has 1 wrong key\n  {message}" in refusal(tmp_path, raw)


@pytest.mark.parametrize("limit", [0, -1, 10_001, float("inf"), float("nan"), "100", True, None])
def test_a_limit_on_pixels_is_a_positive_number_of_megapixels(tmp_path, limit):
    raw = read("pipelines/coco/params.yaml")
    assert accepted(tmp_path, raw).data.max_megapixels == 100
    raw["data"]["max_megapixels"] = limit
    assert "has 1 wrong key\n  data.max_megapixels: " in refusal(tmp_path, raw)
    for fine in (0.01, 250, 10_000):
        raw["data"]["max_megapixels"] = fine
        assert accepted(tmp_path, raw).data.max_megapixels == fine


SETS = {
    "a": {"images": 10, "style": "sport"},
    "b": {"images": 20, "style": "sport"},
    "both": {"union": ["a", "b"]},
    "a-1": {"redraws": "a", "seed": 1},
    "b-1": {"redraws": "b", "seed": 1},
    "both-1": {"union": ["a-1", "b-1"]},
    "mixed": {"union": ["a", "b-1"]},
    "part": {"union": ["a-1"]},
    "twin": {"union": ["a", "b"]},
}


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("a", "a"), ("a-1", "a"), ("b-1", "b"), ("both", "both"), ("both-1", "both"),
        ("mixed", "both"), ("part", "part"), ("twin", "twin"), ("elsewhere", "elsewhere"),
    ],
)  # fmt: skip
def test_the_original_of_a_set_drawn_anew_and_of_a_union_of_them(name, original):
    assert original_set(SETS, name) == original


def test_params_know_the_original_of_a_set(tmp_path):
    raw = read()
    raw["data"]["sets"] |= {
        "co-35-1": {"redraws": "co-35", "seed": 1},
        "co-80-1": {"redraws": "co-80", "seed": 1},
        "co-115-1": {"union": ["co-35-1", "co-80-1"]},
    }
    params = accepted(tmp_path, raw)
    names = ("co-35-1", "co-115-1", "co-115", "un-120")
    assert [params.original_set(name) for name in names] == ["co-35", "co-115", "co-115", "un-120"]
    assert load_params(ROOT / "pipelines/coco/params.yaml").original_set("co-115") == "co-115"


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a b", "$(touch x)", "x'; touch x; '", ""])
def test_a_set_whose_name_is_no_plain_word_is_refused(tmp_path, name):
    raw = read()
    raw["data"]["sets"][name] = {"images": 5, "style": "sport"}
    assert "data.sets" in refusal(tmp_path, raw)


@pytest.mark.parametrize(
    ("ablation", "changed"),
    [
        ({}, {}),
        ({"views": 1}, {}),
        ({"images_without": "keep"}, {"images_without": "keep"}),
        ({"keypoints": "match_by_type"}, {"keypoints": "match_by_type"}),
        ({"keypoints": "all"}, {"keypoints": "fixed", "min_probability": 0.0}),
        (
            {"keypoints": "all", "images_without": "keep"},
            {"keypoints": "fixed", "min_probability": 0.0, "images_without": "keep"},
        ),
    ],
)
def test_a_row_is_selected_for_by_its_own_rules(tmp_path, ablation, changed):
    raw = read()
    raw["select"] |= {"images_without": "drop", "keypoints": "match"}
    raw["distilled"]["co-35_co-80"]["ablation"] = ablation
    params = accepted(tmp_path, raw)
    assert params.selection("co-35_co-80").model_dump() == raw["select"] | changed
    assert params.selection("co-115_un-120").model_dump() == raw["select"]


def test_a_variance_to_borrow_is_of_both_and_known(tmp_path):
    raw = read()
    raw["between_seeds"] = {"ap": {"sd": 0.5, "degrees": 10}, "gain": {"sd": 0.4, "degrees": 8}}
    assert accepted(tmp_path, raw).between_seeds.gain.degrees == 8
    raw["between_seeds"]["gain"] = {"sd": 0.0, "degrees": 0}
    refused = refusal(tmp_path, raw)
    assert "has 2 wrong keys" in refused
    assert "between_seeds.gain.sd: " in refused
    del raw["between_seeds"]["gain"]
    assert "between_seeds.gain: missing" in refusal(tmp_path, raw)


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
        ({"keypoints": "all"}, "ablation.keypoints needs a teacher; this row has none"),
        ({"images_without": "keep"}, "ablation.images_without needs a teacher; this row has none"),
        ({"view": 1}, "supervised.co-35.ablation.view: unknown key"),
        ({"start": "anywhere"}, "supervised.co-35.ablation.start"),
    ],
)
def test_what_a_row_cannot_do_is_refused(tmp_path, ablation, message):
    raw = read()
    raw["supervised"]["co-35"]["ablation"] = ablation
    assert message in refusal(tmp_path, raw)


@pytest.mark.parametrize("path", [("supervised", "co-35"), ("initial",)])
def test_a_seed_above_what_every_generator_takes_is_refused(tmp_path, path):
    raw = read()
    section = raw
    for key in path:
        section = section[key]
    section["seed"] = MAX_SEED
    accepted(tmp_path, raw)
    section["seed"] = 99999999999999999999
    assert f"has 1 wrong key\n  {'.'.join(path)}.seed: " in refusal(tmp_path, raw)
