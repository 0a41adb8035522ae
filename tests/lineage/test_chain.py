"""Chains from records that say what was drawn anew."""

from dataclasses import replace

import pytest
import yaml
from raw_params import accepted, read

from datastill.lineage.chain import Chain, Node
from datastill.lineage.dvc_lock import Lock
from datastill.lineage.trace_text import to_text
from datastill.project.profile import Profile


@pytest.fixture
def chain(tmp_path):
    """The chain of a profile whose stage `data` has run, with sets drawn anew from seed 4."""
    raw = read()
    sets = raw["data"]["sets"]
    sets |= {
        "co-35_seed-4": {"redraws": "co-35", "seed": 4},
        "co-80_seed-4": {"redraws": "co-80", "seed": 4},
        "co-115_seed-4": {"union": ["co-35_seed-4", "co-80_seed-4"]},
        "s1m-180_seed-4": {"redraws": "s1m-180", "seed": 4},
    }
    raw["scale"] |= {"images": 100, "iterations": 7}
    outs = [f"work/miniature/data/{name}.json" for name in [*sets, "val"]]
    stages = {
        "data": {
            "params": {"params.yaml": {"data": raw["data"], "scale.images": 100}},
            "outs": [{"path": path, "md5": "0" * 32} for path in ["work/miniature/data", *outs]],
        },
        "tables@table1": {"params": {"params.yaml": raw}},
        "teacher-torchvision@ready": {
            "params": {
                "params.yaml": {
                    "teachers.torchvision.ready": "keypointrcnn_resnet50_fpn",
                    "train.initial_files": {},
                }
            },
            "outs": [{"path": "work/miniature/models/ready", "md5": "1" * 32}],
        },
        "annotate@co-35_co-80": {
            "deps": [{"path": "work/miniature/models/ready/weights.safetensors", "md5": "2" * 32}]
        },
    }
    path = tmp_path / "dvc.lock"
    path.write_text(yaml.safe_dump({"stages": stages}))
    return Chain(Profile(accepted(tmp_path, raw)), Lock(path))


@pytest.mark.parametrize(
    ("name", "images", "style", "seed"),
    [
        ("co-35", 355, "everyday", 0),
        ("co-35_seed-4", 355, "everyday", 4),
        ("s1m-180_seed-4", 1800, "sport", 4),
        ("val", 1000, "everyday", 0),
    ],
)
def test_a_set_says_how_many_images_were_drawn_and_from_which_seed(
    chain, name, images, style, seed
):
    found = chain._set(name, None)
    assert found.facts == {"images": images}
    source = found.sources["source"].facts
    assert source == {"seed": seed, "style": style, "width": 320, "height": 240}


def test_a_union_of_sets_drawn_anew_goes_back_to_each_of_them(chain):
    parts = chain._set("co-115_seed-4", None).sources
    assert list(parts) == ["co-35_seed-4", "co-80_seed-4"]
    assert [part.sources["source"].facts["seed"] for part in parts.values()] == [4, 4]


def test_the_chain_knows_the_original_of_a_set(chain):
    assert chain.original("co-115_seed-4") == "co-115"
    assert chain.original("s1m-180_seed-4") == "s1m-180"


def test_a_teacher_that_is_not_trained_here_ends_the_chain_with_its_origin(chain):
    model = chain.model("ready")
    assert model.facts == {"ready": "keypointrcnn_resnet50_fpn"}
    assert [file.md5 for file in model.files] == ["2" * 32, "1" * 32]
    assert not model.sources
    assert not chain.breaks
    assert "keypointrcnn_resnet50_fpn, not trained here" in to_text([model], [], None)


def test_where_stages_record_a_release_it_takes_the_place_of_the_commit(chain):
    stages, data = chain._lock.stages, chain._lock.stage("data")
    stages["data"] = replace(data, params={**data.params, "version": "0.10.0"})
    assert "code as at datastill 0.10.0" in to_text([chain._set("val", None)], [], None)


def test_a_name_neither_colours_the_terminal_nor_ends_its_line():
    node = Node("model", "a\x1b[31m[bold]", {"ready": "\x07"})
    assert to_text([node], [], None) == "model a\\x1b[31m[bold]: \\x07, not trained here"
