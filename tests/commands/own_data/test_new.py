"""Command `new`, as a user runs it, on tiny images: the profile it writes and what it refuses."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from places import ROOT
from tiny import HEIGHT, WIDTH, picture, write_video

from datastill.coco.format import PERSON, read_coco
from datastill.coco.metadata import build_metadata
from datastill.project.loading import load_params

PEOPLE = {**PERSON, "id": 7}  # ids need not start at 1, nor follow each other


def write_images(folder, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.fromarray(picture(number)).save(folder / f"{number}.jpg", quality=92)


def labels(numbers, categories=(PEOPLE,)):
    """One instance per image, 16 x 36 pixels, of the categories in turn."""
    categories = list(categories)
    images = [
        {"id": 5 * n, "file_name": f"{n}.jpg", "width": WIDTH, "height": HEIGHT} for n in numbers
    ]
    annotations = []
    for place, image in enumerate(images):
        category = categories[place % len(categories)]
        points = [12, 13, 2] * 5 + [0] * 36 if category.get("keypoints") else []
        annotations.append(
            {
                "id": 100 + place,
                "image_id": image["id"],
                "category_id": category["id"],
                "bbox": [9, 10, 16, 36],
                "iscrowd": 0,
                **({"keypoints": points, "num_keypoints": 5} if points else {}),
            }
        )
    return {"images": images, "annotations": annotations, "categories": categories}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@dataclass(frozen=True)
class Project:
    """A project's root, with the user's data in `mine`: 20 labelled images and 5 others."""

    root: Path

    @property
    def mine(self):
        return self.root / "mine"

    def params(self, name="own"):
        return load_params(self.root / f"pipelines/{name}/params.yaml")

    def set(self, name):
        return read_coco(self.root / f"work/own/data/{name}.json")


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = tmp_path / "project"
    (root / "pipelines").mkdir(parents=True)
    shutil.copy(ROOT / "dvc.yaml", root / "dvc.yaml")
    project = Project(root)
    write_images(project.mine / "photos", range(20))
    write_images(project.mine / "others", range(100, 105))
    write(project.mine / "labels.json", labels(range(20)))
    monkeypatch.chdir(root)
    return project


LABELS = ("--labelled", "mine/labels.json", "--images", "mine/photos")
OTHERS = ("--unlabelled", "mine/others")


@pytest.fixture
def run(datastill):
    """Run the program; return its exit code and what it says."""

    def command(*arguments):
        answer = datastill(*arguments)
        return answer.returncode, answer.stdout + answer.stderr

    return command


def whole(run, *arguments):
    code, said = run("new", "own", *LABELS, *arguments)
    assert code == 0, said
    return said


def pictures(coco):
    return sorted(int(Path(image["file_name"]).stem) for image in coco.images)


def test_a_profile_runs_the_same_stages_and_its_params_are_valid_and_commented(project, run):
    whole(run, *OTHERS)
    folder = project.root / "pipelines/own"
    assert sorted(path.name for path in folder.iterdir()) == ["dvc.yaml", "params.yaml"]
    assert (folder / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()
    params = project.params()
    assert (params.profile, params.task, params.scale) == ("own", "keypoints", 1)
    assert (folder / params.root).resolve() == project.root
    text = (folder / "params.yaml").read_text()
    assert "# paper: 6 : 4 in expectation" in text
    assert "$" not in text


def test_all_keys_of_the_suites_own_profiles_are_there(project, run):
    whole(run, *OTHERS)
    mine = yaml.safe_load((project.root / "pipelines/own/params.yaml").read_text())
    paper = yaml.safe_load((ROOT / "pipelines/coco/params.yaml").read_text())
    assert list(mine) == list(paper)
    for section in ("train", "views", "select", "evaluate", "machine", "tracking"):
        assert list(mine[section]) == list(paper[section])


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
        "boxes are then",
        "datastill plan own",
        "dvc repro pipelines/own/dvc.yaml",
    ):
        assert part in said
    text = (project.root / "pipelines/own/params.yaml").read_text()
    assert "# labelled: 15 images, 15 annotations" in text


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


def test_the_mirror_partners_are_said(project, run):
    assert "8 pairs of keypoints change sides in a mirror image, such as left_eye and" in whole(
        run, *OTHERS
    )
    content = labels(range(20))
    content["categories"] = [{"id": 7, "name": "hand", "keypoints": [f"k{i}" for i in range(17)]}]
    write(project.mine / "labels.json", content)
    said = run("new", "other", *LABELS, *OTHERS)[1]
    assert "no keypoints change sides in a mirror image; where some should" in said


def test_where_there_is_a_gpu_the_papers_model_is_chosen(project, run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    whole(run, *OTHERS)
    params = project.params()
    how, row = params.train, params.supervised["labelled"]
    assert (row.backbone, row.iterations) == ("resnet50", 1_000)
    assert (how.base_lr, how.warmup, how.micro_batch_size) == (0.02, 250, 2)
    assert (params.views.batch, params.views.long_side) == (8, 5 * params.views.plain_short_side)
    assert (params.machine.processes, params.machine.workers) == ("auto", 4)


def test_scale_and_views_keep_the_papers_proportions(project, run):
    whole(run, *OTHERS)
    views, train = project.params().views, project.params().train
    plain = views.plain_short_side
    assert plain == 80  # the paper enlarges 480 pixels to 800: 48 to 80
    assert views.short_sides == [plain * side // 800 for side in range(400, 1201, 100)]
    assert train.short_sides == [plain * 640 // 800, plain]
    assert train.long_side == views.plain_long_side == round(plain * 1333 / 800)


def test_students_and_controls_train_as_long_and_have_the_same_teacher_beside_them(project, run):
    whole(run, *OTHERS)
    rows = project.params().rows()
    assert list(rows) == ["labelled", "labelled-long", "labelled_unlabelled"]
    teacher, control, student = rows.values()
    assert control.iterations == student.iterations == round(teacher.iterations * 360 / 130)
    assert student.teacher == "labelled"
    assert {row.labelled for row in rows.values()} == {"labelled"}


def test_further_rounds_have_the_student_before_as_teacher(project, run):
    code, _ = run("new", "own", *LABELS, *OTHERS, "--rounds", "3")
    assert code == 0
    rows = project.params().distilled
    assert [(name, row.teacher) for name, row in rows.items()] == [
        ("labelled_unlabelled", "labelled"),
        ("labelled_unlabelled_round-2", "labelled_unlabelled"),
        ("labelled_unlabelled_round-3", "labelled_unlabelled_round-2"),
    ]
    assert len({row.iterations for row in rows.values()}) == 1


def test_the_sets_are_what_was_brought_and_val_meets_nothing_else(project, run):
    for number, twin in ((30, 3), (31, 3), (32, 4)):  # the same pictures, smaller files
        file = project.mine / f"photos/{number}.jpg"
        Image.fromarray(picture(twin)).save(file, quality=80)
    write(project.mine / "labels.json", labels([*range(20), 30, 31, 32]))
    whole(run, *OTHERS, "--val-fraction", "0.3", "--seed", "3")
    code, said = run("data", "--profile", "own")
    assert code == 0, said
    labelled, val = project.set("labelled"), project.set("val")
    assert sorted(pictures(labelled) + pictures(val)) == [*range(20), 30, 31, 32]
    assert len(val.images) in (7, 8, 9)
    for twins in ({3, 30, 31}, {4, 32}):
        assert twins <= {*pictures(val)} or twins <= {*pictures(labelled)}
    assert pictures(project.set("unlabelled")) == [100, 101, 102, 103, 104]


def test_the_same_command_makes_the_same_sets_and_another_seed_others(project, run):
    found = []
    for seed in ("0", "0", "1"):
        shutil.rmtree(project.root / "pipelines/own", ignore_errors=True)
        whole(run, *OTHERS, "--val-count", "6", "--seed", seed)
        assert run("data", "--profile", "own")[0] == 0
        found.append(pictures(project.set("val")))
    assert found[0] == found[1] != found[2]


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


REAL = ROOT.parent / "shared/real/blood-cells"


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_one_folder_of_photographs_becomes_labelled_unlabelled_and_val(project, run):
    files = ("--labelled", str(REAL / "annotations.json"), "--images", str(REAL / "images"))
    code, said = run("new", "own", *files, "--label-only", "60", "--val-count", "100")
    assert code == 0, said
    for part in ("labelled: 60 images", "unlabelled: 204 images", "val: 100 images"):
        assert part in said
    assert "RBC" in said


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


def test_labels_alone_make_labelled_unlabelled_and_val(project, run):
    whole(run, "--label-only", "6", "--val-count", "5")
    assert run("data", "--profile", "own")[0] == 0
    parts = [project.set(name) for name in ("labelled", "unlabelled", "val")]
    assert [len(part.images) for part in parts] == [6, 9, 5]
    assert sorted(number for part in parts for number in pictures(part)) == list(range(20))
    everything = pictures(project.set("all"))
    assert everything == sorted(pictures(parts[0]) + pictures(parts[1]))
    rows = project.params().supervised
    assert rows["all"].iterations == rows["labelled"].iterations


def test_annotations_of_unlabelled_images_are_said_to_be_for_the_upper_bound_alone(project, run):
    told = whole(run, "--label-only", "6", "--val-count", "5")
    assert "unlabelled: 9 images, 9 annotations that only the upper bound learns from" in told
    assert "\nunlabelled: 5 images\n" in run("new", "other", *LABELS, *OTHERS)[1]


def test_val_of_its_own_is_taken_as_it_is(project, run):
    write_images(project.mine / "test", range(50, 54))
    write(project.mine / "test.json", labels(range(50, 54)))
    whole(run, *OTHERS, "--val", "mine/test.json", "--val-images", "mine/test")
    assert run("data", "--profile", "own")[0] == 0
    assert pictures(project.set("val")) == [50, 51, 52, 53]
    assert pictures(project.set("labelled")) == list(range(20))


def test_videos_are_taken_as_several_frames_each(project, run):
    clips = project.mine / "clips"
    clips.mkdir()
    for video in range(2):
        write_video(clips / f"{video}.avi", range(1000 + 100 * video, 1024 + 100 * video))
    said = whole(run, "--unlabelled", "mine/clips")
    assert "unlabelled: 2 videos" in said
    assert run("data", "--profile", "own")[0] == 0
    frames = project.set("unlabelled").images
    assert [frame["video"] for frame in frames] == ["0.avi"] * 10 + ["1.avi"] * 10


def test_data_that_lie_elsewhere_are_found_from_the_project(project, run, tmp_path):
    away = tmp_path / "a: b #c"  # YAML would read it otherwise
    shutil.move(project.mine, away)
    files = ("--labelled", f"{away}/labels.json", "--images", f"{away}/photos")
    code, said = run("new", "own", *files, "--unlabelled", f"{away}/others")
    assert code == 0, said
    assert project.params().data.root == str(away)
    assert project.params().data.watched == str(away)
    assert run("data", "--profile", "own")[0] == 0


def test_where_the_project_itself_is_among_the_data_dvc_watches_the_labels_alone(project, run):
    shutil.move(project.mine / "photos", project.root / "photos")
    files = ("--labelled", "mine/labels.json", "--images", "photos")
    code, said = run("new", "own", *files, *OTHERS)
    assert code == 0, said
    assert (project.params().data.watched, project.params().data.root) == ("mine/labels.json", ".")
    assert "after other changes: dvc repro -fs pipelines/own/dvc.yaml:data" in said
    assert run("data", "--profile", "own")[0] == 0


def test_dvc_makes_the_sets_again_when_params_or_labels_change(project, run, under_dvc):
    shutil.copytree(under_dvc, project.root, dirs_exist_ok=True)
    shutil.copytree(ROOT / "src", project.root / "src", ignore=shutil.ignore_patterns("__pyc*"))
    whole(run, *OTHERS)
    stage = ("dvc", "repro", "-s", "pipelines/own/dvc.yaml:data")

    def repro():
        answer = subprocess.run(stage, capture_output=True, text=True, env=environment())
        assert answer.returncode == 0, answer.stderr
        return "Running stage" in answer.stdout

    assert repro()
    assert not repro()
    path = project.root / "pipelines/own/params.yaml"
    path.write_text(path.read_text().replace("take: 2", "take: 3").replace("skip: 2", "skip: 3"))
    assert repro()
    assert len(project.set("val").images) == 3
    write_images(project.mine / "others", [105])
    assert repro()
    assert len(project.set("unlabelled").images) == 6


def environment():
    programs = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "CI": "true"}


def refused(project, run, *arguments, name="own"):
    """Return the one message of a command that must fail and leave nothing behind."""
    before = sorted(path for path in project.root.rglob("*") if project.mine not in path.parents)
    code, said = run("new", name, *arguments)
    assert code == 1
    after = sorted(path for path in project.root.rglob("*") if project.mine not in path.parents)
    assert after == before
    return said


FORMATS = {
    "labels.txt": ("0 0.5 0.5 0.2 0.3\n1 0.4 0.4 0.1 0.1\n", "found YOLO text"),
    "labels.xml": ("<annotation><folder>a</folder></annotation>", "found Pascal VOC XML"),
    "cvat.xml": ('<?xml version="1.0"?><annotations/>', "found XML of CVAT"),
    "labels.csv": ("file,x,y\na.jpg,1,2\n", "found a table with the columns 'file,x,y'"),
    "studio.json": ([{"id": 1, "annotations": [], "data": {}}], "found Label Studio's own JSON"),
    "results.json": ([{"image_id": 1, "category_id": 1, "score": 0.5}], "found COCO results"),
    "labelme.json": ({"shapes": [], "imagePath": "a.jpg"}, "found LabelMe JSON"),
    "keys.json": ({"foo": 1, "bar": 2}, "found JSON with the keys foo, bar"),
    "images.json": ({"images": [], "licenses": []}, "found COCO JSON of images alone"),
    "torn.json": ('{"images": [', "found other text"),
    "data.yaml": ("names: [cat]\n", "found YAML, as of a YOLO data set"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_labels_of_another_format_are_called_by_its_name(project, run, name):
    content, expected = FORMATS[name]
    write(project.mine / name, content)
    said = refused(project, run, "--labelled", f"mine/{name}", *LABELS[2:], *OTHERS)
    assert f"mine/{name}: expected COCO JSON" in said
    assert expected in said


def test_a_folder_or_an_archive_or_nothing_instead_of_labels_is_said(project, run):
    (project.mine / "yolo").mkdir()
    write(project.mine / "yolo/1.txt", "0 0.5 0.5 0.1 0.1")
    (project.mine / "labels.zip").write_bytes(b"PK\x03\x04\0\0")
    for name, expected in {
        "yolo": "found a folder with 1 files of YOLO text",
        "labels.zip": "found an archive; unpack it first",
        "none.json": "no such file",
    }.items():
        said = refused(project, run, "--labelled", f"mine/{name}", *LABELS[2:], *OTHERS)
        assert expected in said


def spoil(project, edit, name="labels.json"):
    content = json.loads((project.mine / name).read_text())
    edit(content)
    write(project.mine / name, content)


def scored(content):
    content["annotations"][3]["score"] = 0.9


def lost(content):
    content["annotations"][3]["category_id"] = 8


def boxless(content):
    del content["annotations"][3]["bbox"]


def bare(content):
    for annotation in content["annotations"]:
        annotation |= {"keypoints": [0] * 51, "num_keypoints": 0}


def one_sided(content):
    content["categories"][0] = {**PEOPLE, "keypoints": [*PEOPLE["keypoints"][:16], "left_toe"]}


FAULTS = {
    scored: "found 1 generated annotations (with a score), such as 103",
    lost: "annotations [103] name categories that the file does not list",
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


def test_missing_images_are_counted_and_the_first_is_named(project, run):
    for number in (4, 9):
        (project.mine / f"photos/{number}.jpg").unlink()
    said = refused(project, run, *LABELS, *OTHERS)
    assert "mine/labels.json: 2 of 20 images are not in mine/photos, such as 4.jpg" in said


def test_a_folder_without_any_of_the_images_is_said_to_be_one(project, run):
    said = refused(project, run, *LABELS[:2], "--images", "mine/others", *OTHERS)
    assert "none of 20 images is there" in said
    said = refused(project, run, *LABELS[:2], "--images", "mine/nowhere", *OTHERS)
    assert "mine/nowhere: expected a folder of images, found none" in said


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


def test_a_folder_of_unlabelled_images_must_hold_some_and_others_than_the_labelled(project, run):
    (project.mine / "empty").mkdir()
    (project.mine / "photos/inside").mkdir()
    shutil.copytree(project.mine / "photos", project.mine / "copies")
    write_images(project.mine / "mixed", [60])
    (project.mine / "mixed/clip.mp4").touch()
    for name, expected in {
        "empty": "mine/empty: expected images or videos, found none",
        "photos/inside": "mine/photos/inside: expected images or videos, found none",
        "nowhere": "mine/nowhere: expected a folder of images or videos, found nothing there",
        "photos": "mine/photos: all 20 unlabelled images are labelled ones or copies of them",
        ".": "found 46 images and 1 videos",
        "mixed": "found 1 images and 1 videos",
        "copies": "mine/copies: all 20 unlabelled images are labelled ones or copies of them",
    }.items():
        assert expected in refused(project, run, *LABELS, "--unlabelled", f"mine/{name}")


def test_labelled_images_in_the_folder_of_the_unlabelled_are_left_out_of_these(project, run):
    write(project.mine / "labels.json", labels(range(8)))
    said = whole(run, "--unlabelled", "mine/photos", "--val-count", "2")
    assert "8 images in mine/photos are labelled ones" in said
    assert "unlabelled: 12 images" in said
    assert run("data", "--profile", "own")[0] == 0
    assert pictures(project.set("unlabelled")) == list(range(8, 20))


@pytest.mark.parametrize("name", ["2024", "no", "1e3"])
def test_a_name_that_yaml_takes_for_something_else_is_a_name(project, run, name):
    code, said = run("new", name, *LABELS, *OTHERS)
    assert code == 0, said
    assert project.params(name).profile == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b", "'a/b': expected a new folder's name"),
        ("..", "'..': expected a new folder's name"),
        ("", "'': expected a new folder's name"),
        (".hidden", "'.hidden': expected a new folder's name"),
        ("coco", "'coco' is the name of a built-in profile"),
        ("miniature", "'miniature' is the name of a built-in profile"),
        ("taken", "pipelines/taken exists"),
    ],
)
def test_a_name_that_is_taken_or_none_is_refused(project, run, name, expected):
    (project.root / "pipelines/taken").mkdir()
    assert expected in refused(project, run, *LABELS, *OTHERS, name=name)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--val-fraction", "0.01"), "0.01 of 20 labelled images leaves none for val"),
        (("--val-fraction", "0.99"), "0.99 of 20 labelled images leaves none for training"),
        (("--val-fraction", "0"), "0 of 20 labelled images leaves none for val"),
        (("--val-count", "20"), "20 of 20 labelled images leaves none for training"),
        (("--val-count", "-1"), "-1 of 20 labelled images leaves none for val"),
        (
            ("--val-count", "2", "--val-fraction", "0.1"),
            "--val-fraction or --val-count, found both",
        ),
        (("--val", "mine/labels.json", "--val-count", "2"), "omit --val-fraction and --val-count"),
        (("--val-images", "mine/photos"), "--val-images: expected --val too"),
        (("--label-only", "3"), "expected --unlabelled or --label-only, found both"),
        (("--task", "masks"), "--task: expected keypoints or boxes"),
    ],
)
def test_a_division_that_cannot_be_is_refused(project, run, arguments, expected):
    assert expected in refused(project, run, *LABELS, *OTHERS, *arguments)


def test_labels_for_all_need_a_number_that_leaves_some_unlabelled(project, run):
    said = refused(project, run, *LABELS)
    assert "expected --unlabelled, or --label-only N" in said
    for number in ("0", "15", "99"):
        said = refused(project, run, *LABELS, "--label-only", number, "--val-count", "5")
        assert f"--label-only {number}: expected fewer than the 15 images" in said


def test_outside_of_a_project_nothing_is_written(project, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = run("new", "own", *LABELS, *OTHERS)
    assert code == 1
    assert "dvc.yaml: no such file; run datastill in the project's root" in said
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def obey_permissions():
    """Take from root what lets it write anywhere; others never could."""
    drop_from_bounding_set, override_permissions = 24, 1  # linux/prctl.h, linux/capability.h
    if os.getuid() == 0 and ctypes.CDLL(None).prctl(drop_from_bounding_set, override_permissions):
        raise OSError("this root cannot give up what lets it write anywhere")


def test_a_folder_that_may_not_be_written_costs_one_message(project):
    (project.root / "pipelines").chmod(0o555)
    program = [sys.executable, "-m", "datastill", "new", "own", *LABELS, *OTHERS]
    try:
        answer = subprocess.run(
            program, capture_output=True, text=True, preexec_fn=obey_permissions
        )
    except subprocess.SubprocessError:
        pytest.skip("this root may write anywhere")
    assert answer.returncode == 1
    assert "Permission denied; free disk space or fix permissions" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not any((project.root / "pipelines").iterdir())


def test_a_write_that_fails_midway_leaves_nothing(project, run, monkeypatch):
    def torn(path, text):
        path.write_text(text[:100])
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("datastill.commands.own_data.new.write_text", torn)
    assert "No space left on device; free disk space" in refused(project, run, *LABELS, *OTHERS)
