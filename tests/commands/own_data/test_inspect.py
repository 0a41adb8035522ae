"""What `new` finds in labels and images, and refuses there."""

import shutil

import pytest
from own_files import (
    LABELS,
    OTHERS,
    PEOPLE,
    labels,
    pictures,
    refused,
    spoil,
    whole,
    write,
    write_images,
)
from PIL import Image
from tiny import WIDTH, picture

from datastill.coco.metadata import build_metadata


def test_boxes_outside_their_images_are_said_to_be(project, run):
    content = labels(range(20))
    for annotation in content["annotations"]:
        annotation["bbox"] = [WIDTH - 8, 10, 16, 36]
    write(project.mine / "labels.json", content)
    said = whole(run, *OTHERS, "--val-count", "4")
    for name, count in (("labelled", 16), ("val", 4)):
        assert f"{name}: {count} annotations have boxes outside their image, such as" in said


def test_crowds_are_regions_to_ignore_and_nothing_to_learn_from(project, run):
    content = labels(range(20), [{"id": 1, "name": "cell"}])
    content["annotations"][0]["iscrowd"] = 1
    write(project.mine / "labels.json", content)
    said = whole(run, *OTHERS)
    assert ": 1 annotations are crowds, regions to ignore" in said
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    write(project.mine / "labels.json", content)
    code, said = run("new", "other", *LABELS, *OTHERS)
    assert code == 1
    assert "labelled: expected boxes on its images, found none on 18 but 18 crowds" in said


CELLS = [{"id": 3, "name": "red"}, {"id": 90, "name": "white"}]


def test_labels_without_keypoints_are_boxes_of_all_their_categories(project, run):
    write(project.mine / "labels.json", labels(range(20), CELLS))
    said = whole(run, *OTHERS, "--val-count", "6")
    assert "task: boxes" in said
    params = project.params()
    assert (params.task, params.tables) == ("boxes", ["table4"])
    assert (params.select.keypoints, params.views.voting_iou) == (None, 0.8)
    assert run("data", "--profile", "own")[0] == 0
    for name in ("labelled", "unlabelled", "val"):
        assert project.set(name).categories == CELLS
    found = [a for name in ("labelled", "val") for a in project.set(name).annotations]
    assert sorted(a["category_id"] for a in found) == [3] * 10 + [90] * 10


def test_labels_with_keypoints_are_boxes_where_these_are_asked_for(project, run):
    whole(run, *OTHERS, "--task", "boxes")
    assert run("data", "--profile", "own")[0] == 0
    assert project.set("labelled").categories == [{"id": 7, "name": "person"}]
    assert not any("keypoints" in a for a in project.set("labelled").annotations)


def test_category_ids_with_gaps_survive(project, run):
    car = {"id": 90, "name": "car"}
    write(project.mine / "labels.json", labels(range(20), (PEOPLE, car)))
    said = whole(run, *OTHERS)
    assert "categories without keypoints are left out: car" in said
    assert run("data", "--profile", "own")[0] == 0
    for name in ("labelled", "val"):
        assert {a["category_id"] for a in project.set(name).annotations} == {7}
    assert [c["id"] for c in project.set("unlabelled").categories] == [7]


def test_any_skeleton_makes_a_profile(project, run):
    content = labels(range(20))
    hand = {"id": 7, "name": "hand", "keypoints": ["root", "tip"], "sigmas": [0.03, 0.09]}
    content["categories"] = [hand | {"flip_pairs": [["root", "tip"]]}]
    for annotation in content["annotations"]:
        annotation |= {"keypoints": [12, 13, 2, 14, 15, 2], "num_keypoints": 2}
    write(project.mine / "labels.json", content)
    assert "hand 18; 2.0 of 2 keypoints marked on each" in whole(run, *OTHERS)
    assert run("data", "--profile", "own")[0] == 0
    for name in ("labelled", "unlabelled", "val"):
        what = build_metadata(project.set(name), "keypoints")
        assert (what.skeleton.flip_indices, what.sigmas) == ((1, 0), (0.03, 0.09))


FORMATS = {
    "labels.txt": ("0 0.5 0.5 0.2 0.3\n1 0.4 0.4 0.1 0.1\n", "found YOLO text"),
    "labels.xml": ("<annotation><folder>a</folder></annotation>", "found Pascal VOC XML"),
    "labels.csv": ("file,x,y\na.jpg,1,2\n", "found a table with the columns 'file,x,y'"),
    "studio.json": ([{"id": 1, "annotations": [], "data": {}}], "found Label Studio's own JSON"),
    "results.json": ([{"image_id": 1, "category_id": 1, "score": 0.5}], "found COCO results"),
    "labelme.json": ({"shapes": [], "imagePath": "a.jpg"}, "found LabelMe JSON"),
    "keys.json": ({"foo": 1, "bar": 2}, "found JSON with the keys foo, bar"),
    "images.json": ({"images": [], "licenses": []}, "found COCO JSON of images alone"),
    "torn.json": ('{"images": [', "found other text"),
    "data.yaml": ("bodyparts: [nose]\n", "found the keys bodyparts"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_labels_of_another_format_are_called_by_its_name(project, run, name):
    content, expected = FORMATS[name]
    write(project.mine / name, content)
    said = refused(project, run, "--labelled", f"mine/{name}", *LABELS[2:], *OTHERS)
    formats = {".csv": "a DeepLabCut CSV", ".yaml": "a YOLO data.yaml"}
    wanted = formats.get(f".{name.partition('.')[2]}", "COCO JSON")
    assert f"mine/{name}: expected {wanted}" in said
    assert expected in said


def test_a_folder_or_an_archive_or_nothing_instead_of_labels_is_said(project, run):
    (project.mine / "notes").mkdir()
    write(project.mine / "notes/1.json", "{}")
    (project.mine / "labels.zip").write_bytes(b"PK\x03\x04\0\0")
    for name, expected in {
        "notes": "found a folder with 1 files of JSON",
        "labels.zip": "found an archive; unpack it first",
        "none.json": "no such file",
    }.items():
        said = refused(project, run, "--labelled", f"mine/{name}", *LABELS[2:], *OTHERS)
        assert expected in said


def scored(content):
    content["annotations"][3]["score"] = 0.9


def lost(content):
    content["annotations"][3]["category_id"] = 8


def boxless(content):
    content["annotations"][3]["bbox"] = [9, 10, 16]


def bare(content):
    for annotation in content["annotations"]:
        annotation |= {"keypoints": [0] * 51, "num_keypoints": 0}


def one_sided(content):
    content["categories"][0] = {**PEOPLE, "keypoints": [*PEOPLE["keypoints"][:16], "left_toe"]}


FAULTS = {
    scored: "found 1 generated annotations (with a score), such as 103",
    lost: "annotations [103] name categories that it does not list",
    boxless: "mine/labels.json: annotation 103: expected bbox",
    bare: "labelled: expected keypoints on its images, found none",
    one_sided: "mine/labels.json: category 'person': ",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_labels_that_no_training_can_use_are_refused(project, run, fault):
    spoil(project, fault)
    assert FAULTS[fault] in refused(project, run, *LABELS, *OTHERS)


def test_keypoints_asked_of_labels_without_any_are_missed(project, run):
    write(project.mine / "labels.json", labels(range(20), [{"id": 1, "name": "cell"}]))
    said = refused(project, run, *LABELS, *OTHERS, "--task", "keypoints")
    assert "expected one category with keypoints, found none" in said


def other_id(content):
    content["categories"][0]["id"] = 8
    for annotation in content["annotations"]:
        annotation["category_id"] = 8


def other_name(content):
    content["categories"][0]["name"] = "human"


@pytest.mark.parametrize("change", [other_id, other_name], ids=lambda change: change.__name__)
def test_categories_that_disagree_with_vals_are_named(project, run, change):
    write_images(project.mine / "test", range(50, 54))
    write(project.mine / "test.json", labels(range(50, 54)))
    spoil(project, change, "test.json")
    said = refused(
        project, run, *LABELS, *OTHERS, "--val", "mine/test.json", "--val-images", "mine/test"
    )
    assert "expected the same categories in both, found 7 person only in the first and" in said
    assert ("8 person" if change is other_id else "7 human") in said


@pytest.mark.parametrize("copied", [False, True])
def test_an_image_in_both_labels_and_val_is_refused(project, run, copied):
    numbers = [50, 51, 52] if copied else [50, 51, 2]
    write_images(project.mine / "test", [50, 51])
    shutil.copy(project.mine / "photos/2.jpg", project.mine / f"test/{numbers[2]}.jpg")
    write(project.mine / "test.json", labels(numbers))
    said = refused(
        project, run, *LABELS, *OTHERS, "--val", "mine/test.json", "--val-images", "mine/test"
    )
    assert "1 images are both labelled and in val, such as labelled/2.jpg" in said


def test_labels_that_only_resemble_val_are_left_out_and_said_to_be(project, run):
    write_images(project.mine / "test", [50, 51])
    Image.fromarray(picture(2)).save(project.mine / "test/52.jpg", quality=70)
    write(project.mine / "test.json", labels([50, 51, 52]))
    said = whole(run, *OTHERS, "--val", "mine/test.json", "--val-images", "mine/test")
    assert "1 labelled images resemble val and will be left out, such as labelled/2.jpg" in said
    assert run("data", "--profile", "own")[0] == 0
    assert pictures(project.set("labelled")) == [n for n in range(20) if n != 2]


def test_labelled_images_in_the_folder_of_the_unlabelled_are_left_out_of_these(project, run):
    write(project.mine / "labels.json", labels(range(8)))
    said = whole(run, "--unlabelled", "mine/photos", "--val-count", "2")
    assert "8 images in mine/photos are labelled ones" in said
    assert "unlabelled: 12 images" in said
    assert run("data", "--profile", "own")[0] == 0
    assert pictures(project.set("unlabelled")) == list(range(8, 20))
