"""Deviations from COCO that leave no choice, as the readers of labels meet them."""

import json
import re

import pytest

from datastill.coco.format import PERSON, Coco
from datastill.coco.normalize import learned_categories, normalize, read_labels, read_published
from datastill.coco.skeleton import build_skeleton
from datastill.coco.subsets import union
from datastill.errors import DataError

CELL = {"id": 1, "name": "cell", "supercategory": "cells"}


def boxes(*places, categories=(CELL,)):
    """Content of images of 40 x 30 pixels with one box for every (annotation, image)."""
    numbers = dict.fromkeys(image for _, image in places)
    images = [{"id": i, "file_name": f"{i}.png", "width": 40, "height": 30} for i in numbers]
    annotations = [
        {"id": number, "image_id": image, "category_id": 1, "bbox": [place, 6, 10, 20]}
        for place, (number, image) in enumerate(places)
    ]
    return {"images": images, "annotations": annotations, "categories": list(categories)}


@pytest.fixture
def read(tmp_path):
    """Read labels as `new` does and as stage `data` does, which must agree."""

    def write_and_read(content, task="boxes"):
        path = tmp_path / "labels.json"
        path.write_text(json.dumps(content))
        labels = read_labels(path)
        assert read_published(path) == labels
        return normalize(labels, *learned_categories(labels, task), source=path)[0]

    return write_and_read


def test_clean_content_is_read_as_it_is(tmp_path, caplog):
    content = boxes((7, 1), (8, 2))
    (tmp_path / "labels.json").write_text(json.dumps(content))
    assert vars(read_labels(tmp_path / "labels.json")) == content
    assert not caplog.records


def test_an_unused_category_with_the_name_of_a_used_one_is_dropped_with_a_note(read, caplog):
    root = {"id": 0, "name": "cell", "supercategory": "none"}
    coco = read(boxes((7, 1), categories=[root, CELL, {"id": 2, "name": "spare"}]))
    assert [category["id"] for category in coco.categories] == [1, 2]
    assert "labels.json: category 0 is left out: no annotation has it" in caplog.text


def test_two_used_categories_of_one_name_are_not_told_apart(read):
    content = boxes((7, 1), (8, 1), categories=[CELL, {"id": 2, "name": "cell"}])
    content["annotations"][1]["category_id"] = 2
    with pytest.raises(DataError, match="expected a name of its own for every category"):
        read(content)


def test_numbers_as_text_and_floats_are_whole_numbers(read, caplog):
    content = boxes(("7", "785"), (8.0, "786"), categories=[{**CELL, "id": "1"}])
    content["images"][0] |= {"width": 40.0, "height": "30"}
    content["annotations"][0] |= {"category_id": "1", "image_id": 785}
    coco = read(content)
    plain = [{"id": i, "file_name": f"{i}.png", "width": 40, "height": 30} for i in (785, 786)]
    assert coco.images == plain
    assert [(a["id"], a["image_id"], a["category_id"]) for a in coco.annotations] == [
        (7, 785, 1), (8, 786, 1),
    ]  # fmt: skip
    assert json.dumps(coco.images) == json.dumps(plain), "640 and not 640.0"
    assert "labels.json: numbers such as id '785' of images are read as whole" in caplog.text


@pytest.mark.parametrize("number", ["007", "7a", "7.0", " 7", 1.5, 1e30, None, [7], True])
def test_what_is_not_clearly_a_number_is_shown_as_it_is_written(read, number):
    content = boxes((7, 1))
    content["images"][0]["id"] = content["annotations"][0]["image_id"] = number
    with pytest.raises(DataError, match=f"found {re.escape(repr(number))}$"):
        read(content)


def test_one_number_in_two_spellings_is_ambiguous(read):
    content = boxes((7, 1), (8, "1"))
    content["images"][1]["file_name"] = "other.png"
    with pytest.raises(DataError, match=r"images: expected ids that differ .* found 1 and '1'"):
        read(content)


@pytest.mark.parametrize("side", ["wide", 40.5, [40]])
def test_a_size_that_is_no_number_of_pixels_is_shown(read, side):
    content = boxes((7, 1))
    content["images"][0]["width"] = side
    wanted = re.escape(f"image 1: expected width and height in pixels, found ({side!r}, 30)")
    with pytest.raises(DataError, match=wanted):
        read(content)


def test_an_image_under_two_ids_is_one_with_the_annotations_of_both(read, caplog):
    content = boxes((7, 1), (8, 2), (9, 3))
    content["images"][2]["file_name"] = "1.png"
    coco = read(content)
    assert [image["id"] for image in coco.images] == [1, 2]
    assert [(a["id"], a["image_id"]) for a in coco.annotations] == [(7, 1), (8, 2), (9, 1)]
    assert "labels.json: 1 images are listed twice; each counts once" in caplog.text


def test_a_file_joined_to_itself_has_its_objects_once(read, caplog):
    content = boxes((7, 1), (8, 1))
    copies = boxes((9, 2), (10, 2))
    copies["images"][0]["file_name"] = "1.png"
    for section in ("images", "annotations"):
        content[section] += copies[section]
    assert [a["id"] for a in read(content).annotations] == [7, 8]
    assert "labels.json: 2 annotations are listed twice; each counts once" in caplog.text


def test_one_name_with_two_sizes_is_refused_with_both_ids(read):
    content = boxes((7, 1), (8, 2))
    content["images"][1] |= {"file_name": "1.png", "width": 41}
    with pytest.raises(
        DataError, match=r"images 1 and 2 are both '1.png', of the sizes \(40, 30\)"
    ):
        read(content)


def test_one_id_of_two_images_is_refused_with_both_names(read):
    content = boxes((7, 1), (8, 2))
    content["images"][1]["id"] = 1
    with pytest.raises(DataError, match=r"labels.json: image 1 is both '1.png' and '2.png'"):
        read(content)


def test_repeated_annotation_ids_are_renumbered_so_that_parts_can_be_united(read, caplog):
    coco = read(boxes((7, 1), (7, 2), ("a", 3), (9, 4)))
    numbers = [a["id"] for a in coco.annotations]
    assert (numbers[0], numbers[3], len(set(numbers))) == (7, 9, 4)
    assert all(type(number) is int for number in numbers)
    assert [a["image_id"] for a in coco.annotations] == [1, 2, 3, 4]
    parts = [Coco([i], [a], []) for i, a in zip(coco.images, coco.annotations, strict=True)]
    assert len(union(parts).annotations) == 4
    assert "labels.json: 2 annotations have no id of their own and get a new one" in caplog.text


def test_a_record_that_is_there_twice_counts_once(read):
    content = boxes((7, 1), (8, 1))
    content["annotations"].append(dict(content["annotations"][0]))
    assert [a["id"] for a in read(content).annotations] == [7, 8]


@pytest.mark.parametrize(
    "limbs", [[[0, 1]], [[1, 18]], [[1, 2, 3]], [7], 7, [["nose", "left_eye"]]]
)
def test_a_skeleton_that_is_not_of_its_keypoints_is_ignored_with_a_note(
    read, coco, person, caplog, limbs
):
    content = vars(coco([1], [person()])) | {"categories": [PERSON | {"skeleton": limbs}]}
    (category,) = read(content, "keypoints").categories
    assert build_skeleton([category]).edges == ()
    assert "category 'person': the skeleton, which is only drawn, is ignored" in caplog.text


@pytest.mark.parametrize("names", [5, {"nose": 1}, [["nose"]]])
def test_keypoints_that_are_no_names_are_refused(read, coco, person, names):
    content = vars(coco([1], [person()])) | {"categories": [PERSON | {"keypoints": names}]}
    with pytest.raises(DataError, match="'person': expected keypoints as a list of names, found"):
        read(content, "keypoints")
