"""Sets that stage `data` draws."""

import json
from pathlib import Path

import pytest
from hands import COUNTS, own_params
from raw_params import accepted, read

from datastill.errors import DataError
from datastill.project.profile import Profile
from datastill.sources.synthetic_sets import DrawnSet
from datastill.stages.data import draw, drawn_sets, run


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The miniature with tiny sets, two of them drawn anew, and a val that is not scaled."""
    raw = read()
    raw["scale"] |= {"images": 30000, "iterations": 1}
    raw["data"] |= {"seed": 3, "width": 64, "height": 48}
    raw["data"]["val"]["images"] = 2
    raw["data"]["sets"] |= {
        "co-35-7": {"redraws": "co-35", "seed": 7},
        "s1m-180-7": {"redraws": "s1m-180", "seed": 7},
        "again": {"redraws": "co-35", "seed": 3},
    }
    monkeypatch.chdir(tmp_path)
    return Profile(accepted(tmp_path, raw))


def test_a_set_drawn_anew_has_the_number_and_style_of_the_original_and_its_own_seed(small):
    assert drawn_sets(small) == [
        DrawnSet(1, "co-35", 1, "everyday", "co-35", 3),
        DrawnSet(2, "co-80", 3, "everyday", "co-80", 3),
        DrawnSet(3, "un-120", 4, "everyday", "un-120", 3),
        DrawnSet(4, "s1m-180", 6, "sport", "s1m-180", 3),
        DrawnSet(5, "co-35-7", 1, "everyday", "co-35", 7),
        DrawnSet(6, "s1m-180-7", 6, "sport", "s1m-180", 7),
        DrawnSet(7, "again", 1, "everyday", "co-35", 3),
        DrawnSet(8, "val", 2, "everyday", "val", 3),
    ]


def test_the_seed_of_a_set_decides_its_pixels_and_nothing_else_does(small):
    sets = {drawn.name: draw(small, drawn) for drawn in drawn_sets(small)}
    pixels = {
        name: [(small.images / image["file_name"]).read_bytes() for image in coco.images]
        for name, coco in sets.items()
    }
    assert pixels["again"] == pixels["co-35"] != pixels["co-35-7"]
    assert not set(pixels["s1m-180"]) & set(pixels["s1m-180-7"])
    assert len(set().union(*pixels.values())) == sum(map(len, pixels.values())) - 1


def test_sets_of_files_are_not_drawn(tmp_path):
    assert drawn_sets(Profile(accepted(tmp_path, read("pipelines/coco/params.yaml")))) == []


def test_a_val_of_crowds_alone_is_refused_before_anything_is_trained(
    tmp_path, monkeypatch, write_hands
):
    monkeypatch.chdir(tmp_path)
    for number, (name, count) in enumerate(COUNTS.items()):
        write_hands(Path("hands"), name, count, 100 * number + 1)
    content = json.loads(Path("hands/val.json").read_text())
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    Path("hands/val.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="val: none of 12 images has an object to find"):
        run(Profile(accepted(tmp_path, own_params())))
