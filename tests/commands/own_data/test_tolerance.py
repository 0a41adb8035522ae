"""Labels that deviate from COCO without a choice: `new` takes them, and `data` agrees."""

import pytest
from own_files import LABELS, OTHERS, PEOPLE, refused, spoil, whole
from tiny import HEIGHT, WIDTH

from datastill.progress import note_once


def rooted(content):
    content["categories"].insert(0, {"id": 0, "name": PEOPLE["name"], "supercategory": "none"})


def unsized(content):
    for image, size in zip(
        content["images"], [{}, {"width": 0}, {"width": -1}, {"width": 64.0}] * 5, strict=True
    ):
        image |= {"width": None, "height": None, **size}


def as_text(content):
    for image in content["images"]:
        image["id"] = str(image["id"])
    for annotation in content["annotations"]:
        annotation["iscrowd"] = "False"


def not_marked(content):
    for annotation in content["annotations"]:
        annotation["keypoints"][15:] = [float("nan"), float("nan"), 0] * 12


def boxless(content):
    for annotation in content["annotations"]:
        annotation |= {"bbox": [0, 0, 0, 0], "keypoints": [12, 13, 2, 25, 46, 2, *[0] * 45]}


def careless(content):
    content["categories"][0] = {**PEOPLE, "skeleton": [[0, 1]]}
    for annotation in content["annotations"]:
        annotation |= {"area": 0, "segmentation": [[1, 2]]}


def listed_twice(content):
    content["images"].append(content["images"][0] | {"id": 999})
    content["annotations"][-1] |= {"image_id": 999, "bbox": [9, 10, 16, 30]}


def one_id(content):
    for annotation in content["annotations"]:
        annotation["id"] = 1


NOTES = {
    rooted: "category 0 is left out",
    unsized: "20 images lack width or height; taken from the files",
    as_text: "numbers such as id '0' of images are read as whole numbers",
    not_marked: None,
    boxless: "20 annotations have no box; theirs is the extent of the keypoints",
    careless: "20 annotations have an area or a segmentation that cannot be used",
    listed_twice: "1 images are listed twice; each counts once",
    one_id: "19 annotations have no id of their own and get a new one",
}


@pytest.mark.parametrize("deviate", NOTES, ids=lambda deviate: deviate.__name__)
def test_new_says_what_it_makes_of_a_deviation_and_data_agrees(project, run, deviate):
    note_once.cache_clear()
    spoil(project, deviate)
    said = whole(run, "--label-only", "8")
    note = NOTES[deviate]
    assert note is None or said.count(f"mine/labels.json: {note}") == 1
    code, answer = run("data", "--profile", "own")
    assert code == 0, answer
    names = ("labelled", "unlabelled", "val")
    instances = [a for name in names for a in project.set(name).annotations]
    assert len(instances) == 20
    assert all(min(a["bbox"][2:]) > 10 for a in instances)
    assert {(i["width"], i["height"]) for i in project.set("val").images} == {(WIDTH, HEIGHT)}


def corners(content):
    for annotation in content["annotations"]:
        annotation["bbox"] = [40, 20, 60, 45]


def fractions(content):
    for annotation in content["annotations"]:
        annotation["bbox"] = [0.1, 0.2, 0.3, 0.4]


def two_sizes(content):
    content["images"].append(content["images"][0] | {"id": 999, "width": 20})


REFUSED = {
    corners: "boxes: expected x, y, width, height, found x1, y1, x2, y2",
    fractions: "boxes: expected pixels, found no number above 1: they are normalised to 1",
    two_sizes: "images 0 and 999 are both '0.jpg'",
}


@pytest.mark.parametrize("fault", REFUSED, ids=lambda fault: fault.__name__)
def test_new_refuses_by_name_where_there_is_a_choice(project, run, fault):
    spoil(project, fault)
    assert f"mine/labels.json: {REFUSED[fault]}" in refused(project, run, *LABELS, *OTHERS)
