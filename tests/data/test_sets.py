import csv
import hashlib
import os

import cv2
import numpy as np
import pytest

from datastill.data.coco import PERSON, read_coco
from datastill.data.figures import draw
from datastill.data.sets import (
    DrawnSet,
    Studio,
    draw_set,
    missing_images,
    union,
    with_keypoints,
    write_sets,
)
from datastill.errors import DataError

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

    def build(name="co-35", number=1, workers=2, folder="images", style="everyday"):
        monkeypatch.setattr(os, "cpu_count", lambda: workers)
        heard = []
        studio = Studio(tmp_path / folder, SIZE, seed=5)
        content = draw_set(DrawnSet(number, name, IMAGES, style), studio, heard.append)
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
        picture = draw("co-35", index, 5, "everyday", SIZE)
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


def test_ids_are_unique_across_sets(drawn):
    contents = [drawn(f"set-{number}", number)[0] for number in range(3)]
    for section in ("images", "annotations"):
        ids = [record["id"] for content in contents for record in getattr(content, section)]
        assert len(ids) >= 3 * (IMAGES if section == "images" else 1)
        assert len(set(ids)) == len(ids)
        assert min(ids) > 0


def test_an_unknown_style_is_refused(drawn):
    with pytest.raises(DataError, match="baroque"):
        drawn(style="baroque")


def test_a_union_has_everything_of_its_parts(coco, person):
    one, other = coco([1, 2], [person(2)]), coco([3], [person(3, 2)])
    assert union([one, other]) == coco([1, 2, 3], [person(2), person(3, 2)])
    assert union([one]) == one
    assert len(one.images) == 2


def test_the_manifest_lists_every_file_once_with_its_digest(tmp_path, coco, person, write_images):
    one, other = coco([1, 2], [person(2)], "one"), coco([3], folder="other")
    root, folder = tmp_path / "images", tmp_path / "sets"
    for content in (one, other):
        write_images(root, content)
    sets = {"one": one, "other": other, "both": union([one, other])}
    write_sets(folder, root, sets)
    with (folder / "manifest.csv").open() as file:
        lines = list(csv.DictReader(file))
    stored = files(root)
    assert [line["file_name"] for line in lines] == ["one/1.png", "one/2.png", "other/3.png"]
    assert {line["file_name"]: line["digest"] for line in lines} == {
        name: hashlib.sha256(content).hexdigest() for name, content in stored.items()
    }
    assert [int(line["size"]) for line in lines] == [len(stored[x["file_name"]]) for x in lines]
    assert {name: read_coco(folder / f"{name}.json") for name in sets} == sets
    assert len(list(folder.iterdir())) == 4


def test_missing_images_are_named(tmp_path, coco, write_images):
    content = coco([1, 2, 3])
    write_images(tmp_path, content)
    assert missing_images(tmp_path, content) == []
    (tmp_path / "a/2.png").unlink()
    assert missing_images(tmp_path, content) == ["a/2.png"]


def test_only_images_with_an_annotated_keypoint_are_kept_with_all_their_annotations(coco, person):
    bare = {"keypoints": [0] * 51, "num_keypoints": 0}
    annotations = [
        person(1, 1),
        person(2, 2, **bare),
        person(3, 3, iscrowd=1),
        person(4, 4, **bare),
        person(4, 5),
        person(4, 6, iscrowd=1),
    ]
    kept = with_keypoints(coco([4, 1, 2, 3, 5], annotations))
    assert kept == coco([4, 1], [annotations[i] for i in (0, 3, 4, 5)])
