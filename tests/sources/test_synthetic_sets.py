import os

import cv2
import numpy as np
import pytest

from datastill.coco.format import PERSON
from datastill.errors import DataError
from datastill.sources.synthetic_sets import DrawnSet, RenderSettings, draw_set
from datastill.synthetic.keypoint_scenes import draw_people

SIZE = (128, 96)
IMAGES = 20  # more than two workers take at once


@pytest.fixture(autouse=True)
def _still():
    """Stop OpenCV's threads, which other tests start: a worker forked beside them would hang."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A set drawn below `tmp_path`/folder by so many workers, and what `advance` heard."""

    def build(name="co-35", *, number=1, workers=2, folder="images", style="everyday", **scenes):
        monkeypatch.setattr(os, "cpu_count", lambda: workers)
        heard = []
        settings = RenderSettings(tmp_path / folder, SIZE)
        drawn = DrawnSet(number, name, IMAGES, style, **{"scenes": name, "seed": 5} | scenes)
        content = draw_set(drawn, settings, heard.append)
        return content, heard

    return build


def files(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_set_is_the_same_however_many_workers_draw_it(drawn, tmp_path):
    (alone, _), (shared, _) = drawn(workers=1, folder="a"), drawn(workers=3, folder="b")
    assert alone == shared
    assert len(files(tmp_path / "a")) == IMAGES
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_set_lists_its_images_in_order_with_their_people(drawn, tmp_path):
    content, heard = drawn()
    assert sum(heard) == IMAGES
    assert content.categories == [PERSON]
    groups = content.by_image()
    for index, image in enumerate(content.images):
        picture = draw_people("co-35", index, 5, "everyday", SIZE)
        assert image["file_name"] == f"co-35/{index:06d}.jpg"
        assert (image["width"], image["height"]) == SIZE
        people = [
            {k: v for k, v in a.items() if k not in ("id", "image_id")} for a in groups[image["id"]]
        ]
        assert people == picture.annotations
        stored = cv2.imread(str(tmp_path / "images" / image["file_name"]))[..., ::-1]
        assert np.abs(stored.astype(int) - picture.image).mean() < 6
    assert {len(group) for group in groups.values()} >= {0, 1}


def test_a_set_depends_on_its_name_and_style(drawn, tmp_path):
    (everyday, _), (sport, _) = drawn("one"), drawn("one", style="sport", folder="sport")
    other, _ = drawn("other")
    assert sport.annotations != everyday.annotations != other.annotations
    first, second = (files(tmp_path / "images" / name) for name in ("one", "other"))
    assert first.keys() == second.keys()
    assert not any(first[name] == second[name] for name in first)


@pytest.mark.parametrize("style", ["everyday", "household"])
def test_a_set_drawn_anew_has_the_scenes_of_the_original_from_its_own_seed(drawn, tmp_path, style):
    original, _ = drawn("one", style=style, seed=7)
    same, _ = drawn("two", style=style, scenes="one", seed=7)
    anew, _ = drawn("three", style=style, scenes="one", seed=8)
    names = ("one", "two", "three")
    first, second, third = ([*files(tmp_path / "images" / name).items()] for name in names)
    assert first == second
    assert original.annotations == same.annotations != anew.annotations
    assert not any(pair in first for pair in third)
    assert [image["file_name"].split("/")[0] for image in anew.images] == ["three"] * IMAGES


def test_ids_are_unique_across_sets(drawn):
    contents = [drawn(f"set-{number}", number=number)[0] for number in range(3)]
    for section in ("images", "annotations"):
        ids = [record["id"] for content in contents for record in getattr(content, section)]
        assert len(ids) >= 3 * (IMAGES if section == "images" else 1)
        assert len(set(ids)) == len(ids)
        assert min(ids) > 0


def test_an_unknown_style_is_refused(drawn):
    with pytest.raises(DataError, match="baroque"):
        drawn(style="baroque")
