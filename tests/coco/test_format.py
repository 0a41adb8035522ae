import json
import re
from copy import deepcopy

import pytest

from datastill.coco.format import PERSON, PERSON_KEYPOINTS, Coco, read_coco, write_coco
from datastill.errors import DataError

IMAGE = {"id": 1, "file_name": "1.jpg", "width": 4, "height": 3}
IMAGES = f'"images": [{json.dumps(IMAGE)}]'
CATEGORIES = '"categories": [{"id": 1, "name": "leaf"}]'
BOX = '"category_id": 1, "bbox": [1, 1, 2, 2], "area": 4, "iscrowd": 0'
NO_BOX = BOX.replace("2, 2", "null, 2")


def test_content_comes_back_as_it_was_written(tmp_path, coco, person):
    content = coco([3, 1], [person(3), person(1, number=2, score=1 / 3, bbox=[0.1, 2, 3e-7, 4.0])])
    write_coco(tmp_path / "set.json", content)
    assert read_coco(tmp_path / "set.json") == content


def test_the_same_content_is_the_same_bytes_through_any_number_of_round_trips(
    tmp_path, coco, person
):
    content = coco([3, 1], [person(3, score=1 / 3, note="é")])
    paths = [tmp_path / name for name in ("one.json", "two.json", "three.json")]
    for path in paths:
        write_coco(path, content)
        content = read_coco(path)
    first, *others = (path.read_bytes() for path in paths)
    assert others == [first, first]


@pytest.mark.parametrize("count", [0, 1, 1000, 1001, 2000])
def test_a_file_written_in_batches_is_one_json_text(tmp_path, coco, person, count):
    content = coco([1], [person(number=number, note="é") for number in range(count)])
    path = tmp_path / "set.json"
    write_coco(path, Coco(content.images, [], content.categories), iter(content.annotations))
    assert path.read_text() == json.dumps(vars(content), separators=(",", ":"))
    assert list(json.loads(path.read_text())) == ["images", "annotations", "categories"]


def test_sections_that_we_do_not_know_are_passed_over(tmp_path):
    path = tmp_path / "set.json"
    path.write_text(f'{{"info": {{}}, {IMAGES}, "annotations": [], {CATEGORIES}}}')
    assert read_coco(path) == Coco([IMAGE], [], [{"id": 1, "name": "leaf"}])


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (None, "no such file"),
        (b"", "other text"),
        (b'{"images": [,', "line 1 column 13"),
        (b'{"images"\xff', "other text"),
        (b"[]", "no list of images, annotations, categories"),
        (b'"images annotations categories"', "no list of images, annotations, categories"),
        (b'{"images": [], "categories": []}', "found no list of annotations"),
        (b'{"annotations": [], "categories": []}', "found no list of images"),
        (b'{"annotations": [], "images": []}', "found no list of categories"),
        (
            f'{{{IMAGES}, "annotations": [{{"id": 5, "image_id": 1, {BOX}}}, {{"id": 6, '
            f'"image_id": 2, {BOX}}}], {CATEGORIES}}}'.encode(),
            r"annotations: 6 names an image that the file does not list; the data stage writes it",
        ),
        (
            f'{{{IMAGES}, "annotations": [{{"id": 5, {BOX}}}], {CATEGORIES}}}'.encode(),
            "annotations: 5 has no valid image_id; the data stage writes it again",
        ),
        (
            f'{{{IMAGES}, "annotations": [{{"id": 5, "image_id": 1, {NO_BOX}}}], '
            f"{CATEGORIES}}}".encode(),
            "annotations: 5 has no valid box or keypoints",
        ),
    ],
)
def test_a_file_that_is_no_coco_is_named_with_the_place(tmp_path, content, place):
    path = tmp_path / "set.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"{re.escape(str(path))}.*{place}"):
        read_coco(path)


VALUES = (5, "a", True, [], [5], {}, [{}], None, float("nan"), 10**80)


@pytest.mark.parametrize(
    ("place", "fine"),
    [
        *(("images id", []), ("images width", [5]), ("images height", [5])),
        *(("images file_name", ["a"]), ("images video", [5, "a", True, None, 10**80])),
        *(("categories id", []), ("categories name", ["a"]), ("categories keypoints", [])),
        *((f"annotations {key}", []) for key in ("image_id", "category_id", "bbox", "keypoints")),
        *((f"annotations {key}", [5]) for key in ("id", "area", "iscrowd", "num_keypoints")),
        ("annotations score", [5, None]),
    ],
)
def test_a_value_that_datastill_does_not_write_costs_one_sentence(
    tmp_path, coco, person, place, fine
):
    path, (section, key) = tmp_path / "annotations" / "set.json", place.split()
    for value in VALUES:
        content = deepcopy(vars(coco([1], [person()])))
        content[section][0][key] = value
        write_coco(path, Coco(**content))
        if any(type(value) is type(each) and value == each for each in fine):
            assert read_coco(path) == Coco(**content)
            continue
        with pytest.raises(DataError, match=r"set\.json: [a-z]+: .*; `datastill annotate` writes"):
            read_coco(path)


def test_annotations_are_grouped_by_image_with_none_for_an_empty_one(coco, person):
    first, second, third = person(7, 1), person(2, 2), person(7, 3)
    groups = coco([7, 4, 2], [first, second, third]).by_image()
    assert groups == {7: [first, third], 4: [], 2: [second]}


def test_keypoints_are_named_by_the_first_category_that_has_any():
    plain, other = {"id": 3, "name": "ball"}, {"id": 2, "name": "dog", "keypoints": ["tail"]}
    assert Coco([], [], [plain, other, PERSON]).keypoint_names() == ("tail",)
    assert Coco([], [], [plain]).keypoint_names() == ()


@pytest.mark.parametrize("nothing", [[], None])
def test_a_category_with_an_empty_list_of_keypoints_has_none(nothing):
    ball = {"id": 3, "name": "ball", "keypoints": nothing}
    assert Coco([], [], [ball, PERSON]).keypoint_names() == PERSON_KEYPOINTS
    assert Coco([], [], [ball]).keypoint_names() == ()


def test_writing_makes_the_folder_and_leaves_nothing_else_in_it(tmp_path, coco):
    path = tmp_path / "some" / "where" / "set.json"
    write_coco(path, coco([1]))
    write_coco(path, coco([2]))
    assert list(path.parent.iterdir()) == [path]
    assert [image["id"] for image in read_coco(path).images] == [2]
