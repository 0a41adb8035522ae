"""Names, links and formats of the files that `datastill new` meets."""

import hashlib
import shutil

import pytest
from own_files import LABELS, OTHERS, labels, pictures, whole, write, write_images
from PIL import Image

from datastill.coco import normalize
from datastill.io import read_json

VAL = ("--val", "mine/test.json", "--val-images", "mine/test")


def made(project, run, *arguments):
    said = whole(run, *arguments)
    code, answer = run("data", "--profile", "own")
    assert code == 0, answer
    return said + answer


@pytest.mark.parametrize("written", ["photos\\{}", "./{}", "mine/photos/{}", "C:\\x\\photos\\{}"])
def test_images_are_found_by_the_ends_of_their_names(project, run, written):
    content = labels(range(20))
    for image in content["images"]:
        image["file_name"] = written.format(image["file_name"])
    write(project.mine / "labels.json", content)
    made(project, run, *OTHERS)
    sets = [project.set(name) for name in ("labelled", "val")]
    assert sorted(number for coco in sets for number in pictures(coco)) == [*range(20)]


def test_names_that_match_nothing_are_shown_beside_what_is_there(project, run):
    content = labels(range(20))
    for image in content["images"]:
        image["file_name"] = f"IMG_{image['file_name']}"
    write(project.mine / "labels.json", content)
    code, said = run("new", "own", *LABELS, *OTHERS)
    assert code == 1
    assert "none of 20 images is there" in said
    assert "wanted: 'IMG_0.jpg'\n  there: 20 files, such as '0.jpg'" in said
    assert "most like it: '0.jpg'" in said


def test_absent_images_are_counted_and_the_first_is_shown_with_the_names_like_it(project, run):
    (project.mine / "photos/7.jpg").rename(project.mine / "photos/7.jpeg")
    (project.mine / "photos/9.jpg").unlink()
    code, said = run("new", "own", *LABELS, *OTHERS)
    assert code == 1
    assert "mine/labels.json: 2 of 20 images are not in mine/photos, such as 7.jpg: no such" in said
    assert "most like it: '7.jpeg'" in said


def to_cache(project, folder):
    """Leave `folder` as `dvc checkout` does with cache.type symlink."""
    for file in [*folder.iterdir()]:
        digest = hashlib.md5(file.read_bytes()).hexdigest()
        stored = project.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
        stored.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, stored)
        file.symlink_to(stored)


def test_images_that_are_links_into_the_cache_of_dvc_make_the_same_sets(project, run):
    made(project, run, *OTHERS)
    names = ("labelled", "val", "unlabelled")
    before = [project.set(name) for name in names]
    for folder in ("photos", "others"):
        to_cache(project, project.mine / folder)
    shutil.rmtree(project.root / "pipelines/own")
    shutil.rmtree(project.root / "work")
    made(project, run, *OTHERS)
    assert [project.set(name) for name in names] == before


def test_labelled_images_in_the_cache_of_dvc_are_not_unlabelled_ones_too(project, run):
    for folder in ("photos", "others"):
        to_cache(project, project.mine / folder)
    (project.mine / "all").mkdir()
    for folder in ("photos", "others"):
        (project.mine / folder).rename(project.mine / "all" / folder)
    files = ("--labelled", "mine/labels.json", "--images", "mine/all/photos")
    code, said = run("new", "own", *files, "--unlabelled", "mine/all")
    assert code == 0, said
    assert "20 images in mine/all are labelled ones" in said
    assert run("data", "--profile", "own")[0] == 0
    assert pictures(project.set("unlabelled")) == [100, 101, 102, 103, 104]


def test_links_that_lead_out_of_a_folder_are_said_and_left_out(project, run):
    outside = project.mine / "outside.jpg"
    (project.mine / "others/100.jpg").rename(outside)
    (project.mine / "others/100.jpg").symlink_to(outside)
    said = made(project, run, *OTHERS)
    assert "1 links are left out, such as 100.jpg, which is a link to" in said.replace("\n", " ")
    assert pictures(project.set("unlabelled")) == [101, 102, 103, 104]


def test_a_labelled_image_that_is_a_link_out_of_its_folder_is_left_out(project, run):
    outside = project.mine / "outside.jpg"
    (project.mine / "photos/7.jpg").rename(outside)
    (project.mine / "photos/7.jpg").symlink_to(outside)
    said = made(project, run, *OTHERS).replace("\n", " ")
    assert "1 links are left out, such as 7.jpg, which is a link to" in said
    assert len(project.set("labelled").images) + len(project.set("val").images) == 19


def test_a_folder_of_frames_that_is_named_like_a_video_is_a_folder(project, run):
    (project.mine / "others").rename(project.mine / "clip.mp4")
    (project.mine / "clips").mkdir()
    (project.mine / "clip.mp4").rename(project.mine / "clips/clip.mp4")
    made(project, run, "--unlabelled", "mine/clips")
    assert pictures(project.set("unlabelled")) == [100, 101, 102, 103, 104]


def test_images_of_rarer_kinds_are_taken_and_other_files_are_counted(project, run):
    others = project.mine / "others"
    (others / "100.jpg").rename(others / "100.jfif")
    for name in ("a.heic", "b.heic", "notes.txt"):
        (others / name).write_text("no image")
    said = made(project, run, *OTHERS)
    assert "mine/others: 3 files left out: 2 .heic, 1 .txt" in said
    assert pictures(project.set("unlabelled")) == [100, 101, 102, 103, 104]


def test_a_folder_without_images_is_described_by_its_other_files(project, run):
    for file in (project.mine / "others").iterdir():
        file.rename(file.with_suffix(".heic"))
    code, said = run("new", "own", *LABELS, *OTHERS)
    assert code == 1
    assert "found none; 5 files left out: 5 .heic" in said


@pytest.mark.parametrize("named", ["data.yaml", "labels", "."])
def test_a_yolo_data_set_is_taken_as_it_is(project, run, named):
    root = project.root / "yolo"
    root.mkdir()
    (project.mine / "photos").rename(root / "images")
    (root / "labels").mkdir()
    for file in (root / "images").iterdir():
        width, height = Image.open(file).size
        box = f"0 {17 / width} {28 / height} {16 / width} {36 / height}\n"
        (root / "labels" / f"{file.stem}.txt").write_text(box)
    (root / "data.yaml").write_text("names: [hand]\ntrain: images\n")
    files = ("--labelled", f"yolo/{named}", "--images", "yolo/images")
    code, said = run("new", "own", *files, *OTHERS)
    assert code == 0, said
    assert "task: boxes" in said
    code, said = run("data", "--profile", "own")
    assert code == 0, said
    annotations = project.set("labelled").annotations
    assert annotations[0]["bbox"] == pytest.approx([9, 10, 16, 36], abs=0.01)
    assert len(annotations) == 18


def test_a_folder_of_labelme_json_is_taken_as_it_is(project, run):
    (project.mine / "labelme").mkdir()
    for number in range(20):
        width, height = Image.open(project.mine / f"photos/{number}.jpg").size
        content = {
            "shapes": [
                {"label": "hand", "shape_type": "rectangle", "points": [[9, 10], [25, 46]]},
                {"label": "tip", "shape_type": "point", "points": [[12, 13]]},
            ],
            "imagePath": f"..\\photos\\{number}.jpg",
            "imageWidth": width,
            "imageHeight": height,
        }
        write(project.mine / f"labelme/{number}.json", content)
    files = ("--labelled", "mine/labelme", "--images", "mine/photos")
    code, said = run("new", "own", *files, *OTHERS)
    assert code == 0, said
    assert "task: keypoints" in said
    code, said = run("data", "--profile", "own")
    assert code == 0, said
    annotations = project.set("labelled").annotations
    assert (len(annotations), annotations[0]["bbox"]) == (18, [9, 10, 16, 36])
    assert annotations[0]["keypoints"] == [12, 13, 2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--label-only", "6"), ["labels.json"]),
        (OTHERS, ["labels.json"]),
        ((*OTHERS, *VAL), ["labels.json", "test.json"]),
    ],
)
def test_every_file_of_labels_is_parsed_once(project, run, monkeypatch, arguments, expected):
    write_images(project.mine / "test", range(200, 206))
    write(project.mine / "test.json", labels(range(200, 206)))
    parsed = []
    monkeypatch.setattr(
        normalize, "read_json", lambda *asked: parsed.append(asked[0].name) or read_json(*asked)
    )
    whole(run, *arguments)
    assert sorted(parsed) == expected
    for command in (("plan", "own", "--probe-seconds", "0"), ("data", "--profile", "own")):
        parsed.clear()
        _, said = run(*command)
        assert sorted(parsed) == expected, said
