"""What `new` prints about the data."""

import re

from own_files import LABELS, OTHERS, labels, whole, write


def test_what_was_found_and_chosen_and_what_goes_on_is_said(project, run):
    (project.mine / "photos/3.jpg").write_bytes(b"no image")
    said = whole(run, *OTHERS, "--val-count", "4")
    for part in (
        "task: keypoints",
        "labelled: 15 images, 15 annotations, a part of the labels' file",
        "val: 4 images, 4 annotations, a part of the labels' file",
        "unlabelled: 5 images",
        "labelled: 1 images would be refused, such as photos/3.jpg: no readable image",
        "labelled: short side 48 to 48 pixels, median 48; long side 64 to 64, median 64",
        "instances: person 15; 5.0 of 17 keypoints marked on each",
        "val: AP is by OKS with COCO's sigmas",
        "val: with 4 images, a gain below about 22 AP cannot be distinguished from chance",
        "boxes then measure",
        "datastill plan own",
        "dvc repro pipelines/own/dvc.yaml",
    ):
        assert part in said
    text = (project.root / "pipelines/own/params.yaml").read_text()
    assert "# labelled: 15 images, 15 annotations" in text


def test_the_mirror_partners_are_said(project, run):
    assert "8 pairs of keypoints change sides in a mirror image, such as left_eye and" in whole(
        run, *OTHERS
    )
    content = labels(range(20))
    content["categories"] = [{"id": 7, "name": "hand", "keypoints": [f"k{i}" for i in range(17)]}]
    write(project.mine / "labels.json", content)
    said = run("new", "other", *LABELS, *OTHERS)[1]
    assert "no keypoints change sides in a mirror image; if some should" in said


def test_annotations_of_unlabelled_images_are_said_to_be_for_the_upper_bound_alone(project, run):
    told = whole(run, "--label-only", "6", "--val-count", "5")
    assert "unlabelled: 9 images, 9 annotations that only the upper bound learns from" in told
    assert "\nunlabelled: 5 images\n" in run("new", "other", *LABELS, *OTHERS)[1]


def test_labelled_images_without_objects_are_said_and_can_be_kept(project, run):
    assert "without objects" not in whole(run, *OTHERS)
    content = labels(range(20))
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] % 4]
    write(project.mine / "labels.json", content)
    said = run("new", "other", *LABELS, *OTHERS, "--val-count", "5")[1]
    assert re.search(r"labelled: \d images without objects, which no row trains on; train", said)
    assert project.params("other").train.negatives == "drop"
