"""Stage `data` of a profile whose sets are files: a COCO of a few tiny images, prepared for real.

train2014 are the images 1 to 6, val2014 7 to 12, minival (val2017) of these 11 and 12.
"""

import csv
import hashlib
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from coco_content import person_record
from PIL import Image
from places import ROOT
from tiny import HEIGHT, WIDTH, picture, write_video

from datastill.coco.format import PERSON, read_coco
from datastill.commands.restore import load_restored
from datastill.errors import DataError
from datastill.project.profile import open_profile
from datastill.sources.files import FileSets
from datastill.stages import data

PAPER = ROOT / "pipelines" / "coco" / "params.yaml"
CAR = {"id": 3, "name": "car", "supercategory": "vehicle"}
COUNTS = {"co-80": 6, "co-35": 4, "un-120": 5, "s1m-180": 3}
IDS = {
    "co-80": [1, 2, 3, 4, 5, 6],
    "co-35": [7, 8, 9, 10],
    "co-115": [7, 8, 9, 10, 1, 2, 3, 4, 5, 6],
    "un-120": [21, 22, 23, 24, 25],
    "val": [11, 12],
}
FOLDERS = {
    2017: {"train2017": range(1, 11), "val2017": range(11, 13), "unlabeled2017": range(21, 26)},
    2014: {"train2014": range(1, 7), "val2014": range(7, 13), "unlabeled2017": range(21, 26)},
}


def named(number, folder):
    return f"COCO_{folder}_{number:012d}.jpg" if "2014" in folder else f"{number:012d}.jpg"


def annotation(number, **changes):
    points = np.column_stack([np.arange(17) + 10, np.arange(17) + 12, np.full(17, 2)])
    record = person_record(number, 100 + number, [9.0, 10.0, 20.0, 30.0], 400.5, points)
    return record | {"segmentation": [[9, 10, 29, 10, 29, 40]]} | changes


def write_annotations(path, numbers, folder):
    images = [
        {"id": n, "file_name": named(n, folder), "width": WIDTH, "height": HEIGHT, "license": 1}
        for n in numbers
    ]
    content = {"info": {}, "images": images, "categories": [PERSON]}
    if "image_info" not in path.name:
        content["annotations"] = [annotation(number) for number in numbers]
    path.write_text(json.dumps(content))


def frames(seed):
    """Numbers of the pictures that a video shows."""
    return range(1000 * seed, 1000 * seed + 6)


def write_coco_files(root, year):
    """Write what someone who downloaded COCO has: images as of `year`, annotations of both."""
    for folder, numbers in FOLDERS[year].items():
        (root / folder).mkdir(parents=True)
        for number in numbers:
            pixels = Image.fromarray(picture(number))
            pixels.save(root / folder / named(number, folder), quality=92)
    (root / "annotations").mkdir()
    for name, numbers, folder in [
        ("person_keypoints_train2014", range(1, 7), "train2014"),
        ("person_keypoints_val2014", range(7, 13), "val2014"),
        ("person_keypoints_val2017", range(11, 13), "val2017"),
        ("image_info_unlabeled2017", range(21, 26), "unlabeled2017"),
    ]:
        write_annotations(root / "annotations" / f"{name}.json", numbers, folder)
    (root / "sports-1m").mkdir()
    for seed in range(1, 4):
        write_video(root / "sports-1m" / f"{seed}.avi", frames(seed))


@dataclass(frozen=True)
class Project:
    """A folder with the profile `coco` and with COCO in it."""

    root: Path

    @property
    def coco(self):
        return self.root / "coco"

    @property
    def data(self):
        return self.root / "work/coco/data"

    @property
    def images(self):
        return self.root / "work/coco/images"

    def set(self, name):
        return read_coco(self.data / f"{name}.json")

    def refused(self):
        with (self.data / "refused.csv").open(newline="") as file:
            return [(x["set"], x["file_name"], x["reason"]) for x in csv.DictReader(file)]

    def change(self, edit):
        """Let `edit` change section `data` of the params."""
        path = self.root / "pipelines/coco/params.yaml"
        params = yaml.safe_load(path.read_text())
        edit(params["data"])
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def annotate(self, name, edit):
        """Let `edit` change the content of an annotation file."""
        path = self.coco / "annotations" / f"{name}.json"
        content = json.loads(path.read_text())
        edit(content)
        path.write_text(json.dumps(content))

    def contents(self, folder="work/coco/data"):
        return {path.name: path.read_bytes() for path in (self.root / folder).iterdir()}


def make_project(root, year=2017):
    write_coco_files(root / "coco", year)
    params = yaml.safe_load(PAPER.read_text())
    for name, count in COUNTS.items():
        params["data"]["sets"][name]["count"] = count
    params["data"]["val"]["count"] = 2
    (root / "pipelines/coco").mkdir(parents=True)
    (root / "pipelines/coco/params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return Project(root)


def no_videos(section):
    del section["sets"]["s1m-180"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A project in which stage `data` has run; tests may not change it."""
    project = make_project(tmp_path_factory.mktemp("coco"))
    with chdir(project.root):
        data.run(open_profile("coco"))
    return project


@pytest.fixture
def project(tmp_path):
    """A project of this test alone, without rows that need videos, in which nothing has run."""
    project = make_project(tmp_path / "project")
    path = project.root / "pipelines/coco/params.yaml"
    params = yaml.safe_load(path.read_text())
    no_videos(params["data"])
    params["distilled"] = {n: r for n, r in params["distilled"].items() if "s1m" not in n}
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    return project


@pytest.fixture
def run(datastill):
    """Run the command line in a project; return its exit code and what it says to the user."""

    def command(project, *arguments):
        answer = datastill(*arguments, "--profile", "coco", cwd=project.root)
        return answer.returncode, answer.stderr

    return command


def ids(content):
    return [image["id"] for image in content.images]


def test_the_profile_of_the_paper_counts_as_the_paper():
    section = yaml.safe_load(PAPER.read_text())["data"]
    counts = {name: spec.get("count") for name, spec in section["sets"].items()}
    assert counts == {
        "co-80": 82_783, "co-35": 35_504, "co-115": None, "un-120": 123_403, "s1m-180": 180_000,
    }  # fmt: skip
    assert section["val"]["count"] == 5_000
    assert sorted(section["sets"]["co-115"]["union"]) == ["co-35", "co-80"]
    assert counts["co-80"] + counts["co-35"] == 118_287


def test_every_set_has_its_members_and_their_annotations(prepared):
    assert {name: ids(prepared.set(name)) for name in IDS} == IDS
    for name in ("co-80", "co-35", "co-115", "val"):
        expected = [annotation(number) for number in IDS[name]]
        for person in expected:
            del person["segmentation"]
        assert prepared.set(name).annotations == expected
    assert prepared.set("un-120").annotations == []
    assert {str(prepared.set(name).categories) for name in (*IDS, "s1m-180")} == {str([PERSON])}
    assert prepared.refused() == []


def test_every_video_gives_one_image_and_says_where_it_is_from(prepared):
    content = prepared.set("s1m-180")
    assert [image["video"] for image in content.images] == ["1.avi", "2.avi", "3.avi"]
    for image in content.images:
        shown = cv2.imread(str(prepared.images / image["file_name"]))[..., ::-1]
        source = 1000 * int(image["video"][0]) + image["frame"]
        assert np.abs(shown.astype(int) - picture(source)).mean() < 12
        assert shown.shape == (image["height"], image["width"], 3) == (HEIGHT, WIDTH, 3)
    assert content.annotations == []


def test_the_manifest_has_a_line_per_image_of_all_sets(prepared):
    with (prepared.data / "manifest.csv").open(newline="") as file:
        listed = [line["file_name"] for line in csv.DictReader(file)]
    sets = [prepared.set(name) for name in (*IDS, "s1m-180") if name != "co-115"]
    assert sorted(listed) == sorted(image["file_name"] for s in sets for image in s.images)
    assert len(listed) == 6 + 4 + 5 + 2 + 3


def test_images_stay_where_they_are_and_are_linked(prepared):
    links = {path.name: path for path in prepared.images.iterdir() if path.is_symlink()}
    assert {name: path.resolve() for name, path in links.items()} == {
        name: (prepared.coco / name).resolve() for name in FOLDERS[2017]
    }
    assert [path.name for path in prepared.images.iterdir() if not path.is_symlink()] == ["s1m-180"]
    for name, folder in [("co-80", "train2017"), ("co-35", "train2017"), ("val", "val2017")]:
        for image in prepared.set(name).images:
            assert image["file_name"] == f"{folder}/{image['id']:012d}.jpg"
            assert (prepared.images / image["file_name"]).is_file()


@pytest.mark.slow
def test_the_layout_of_2014_gives_the_same_sets(prepared, tmp_path, run):
    older = make_project(tmp_path / "project", 2014)
    assert run(older, "data")[0] == 0
    for name in IDS:
        one, other = prepared.set(name), older.set(name)
        assert [less_name(i) for i in one.images] == [less_name(i) for i in other.images]
        assert one.annotations == other.annotations
    assert {i["file_name"].split("/")[0] for i in older.set("val").images} == {"val2014"}
    assert older.set("s1m-180") == prepared.set("s1m-180")


def less_name(image):
    return {key: value for key, value in image.items() if key != "file_name"}


def test_links_and_frames_that_are_gone_are_made_again(prepared, tmp_path, monkeypatch):
    root = tmp_path / "project"
    shutil.copytree(prepared.root, root, symlinks=True)
    project = Project(root)
    frames = project.contents("work/coco/images/s1m-180")
    shutil.rmtree(project.images)
    monkeypatch.chdir(root)
    profile = open_profile("coco")
    assert ids(load_restored(profile, "co-115")) == IDS["co-115"]
    assert [path.name for path in project.images.iterdir()] == ["train2017"]
    assert project.images.joinpath("train2017").resolve() == root / "coco/train2017"
    assert load_restored(profile, "s1m-180") == prepared.set("s1m-180")
    assert project.contents("work/coco/images/s1m-180") == frames


def test_stages_that_miss_the_same_images_make_them_again_once(prepared, tmp_path, monkeypatch):
    root = tmp_path / "project"
    shutil.copytree(prepared.root, root, symlinks=True)
    shutil.rmtree(root / "work/coco/images")
    monkeypatch.chdir(root)
    made, restore = [], FileSets.restore

    def slowly(files, folders):
        made.append(folders)
        time.sleep(0.3)
        restore(files, folders)

    monkeypatch.setattr(FileSets, "restore", slowly)
    with ThreadPoolExecutor() as pool:
        loaded = list(pool.map(lambda _: load_restored(open_profile("coco"), "s1m-180"), range(3)))
    assert made == [{"s1m-180"}]
    assert loaded == [prepared.set("s1m-180")] * 3


def test_an_image_that_does_not_come_back_or_is_another_one_is_named(
    prepared, tmp_path, monkeypatch
):
    root = tmp_path / "project"
    shutil.copytree(prepared.root, root, symlinks=True)
    picture = root / "coco/val2017/000000000012.jpg"
    monkeypatch.chdir(root)
    message = (
        r"val: 1 images are missing or differ .* val2017/000000000012.*data\.root \(coco\) lacks"
        r" them or has others.* by `dvc pull` .*--profile coco` again"
    )
    shutil.rmtree(root / "work/coco/images")  # links to the first project
    picture.write_bytes(picture.read_bytes() + b"\0")
    with pytest.raises(data.DataError, match=message):
        load_restored(open_profile("coco"), "val")
    picture.unlink()
    with pytest.raises(data.DataError, match=message):
        load_restored(open_profile("coco"), "val")
    (root / "coco").rename(root / "moved")
    with pytest.raises(data.DataError, match=r"data\.root \(coco\) is not a folder here: bring"):
        load_restored(open_profile("coco"), "val")


def test_other_pictures_of_the_same_names_are_another_set(project, run):
    assert run(project, "data")[0] == 0
    before = project.contents()
    picture = project.coco / "val2017/000000000012.jpg"
    digest = hashlib.sha256(picture.read_bytes()).hexdigest()
    assert digest in {image["sha256"] for image in project.set("val").images}
    Image.open(picture).save(picture, quality=60)
    assert run(project, "data")[0] == 0
    changed = {name for name, content in project.contents().items() if content != before[name]}
    assert changed == {"val.json", "manifest.csv"}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("co-80", ["data.sets.co-80: expected 7 images, found 6", "train2014.json lists 6"]),
        ("co-35", ["data.sets.co-35: expected 7 images, found 4", "val2014.json lists 6, 2 of"]),
        ("un-120", ["data.sets.un-120: expected 7 images, found 5", "unlabeled2017.json lists 5"]),
        ("val", ["data.val: expected 7 images, found 2", "val2017.json lists 2"]),
    ],
)
def test_a_wrong_count_costs_one_message_that_explains_it(project, run, name, parts):
    project.change(lambda d: (d["val"] if name == "val" else d["sets"][name]).update(count=7))
    code, said = run(project, "data")
    assert code == 1
    for part in (*parts, "write `count: "):
        assert part in said
    assert said.count("expected") == 1
    assert not project.data.exists()


def test_what_is_missing_is_counted_listed_and_done_without(project, run):
    for name in ("train2017/000000000002.jpg", "train2017/000000000009.jpg"):
        (project.coco / name).unlink()
    (project.coco / "unlabeled2017/000000000022.jpg").write_text("no image at all")
    (project.coco / "val2017/000000000012.jpg").write_bytes(b"")
    code, said = run(project, "data")
    assert code == 0
    remaining = {"co-80": [1, 3, 4, 5, 6], "co-35": [7, 8, 10], "un-120": [21, 23, 24, 25]}
    for name, numbers in {**remaining, "val": [11]}.items():
        assert ids(project.set(name)) == numbers
        assert f"{name}: continues without 1 images" in said
    assert ids(project.set("co-115")) == remaining["co-35"] + remaining["co-80"]
    assert [a["image_id"] for a in project.set("co-35").annotations] == remaining["co-35"]
    nowhere, broken = "no such file in coco/train2017, coco/", "no readable image: "
    assert project.refused() == [
        ("co-80", "COCO_train2014_000000000002.jpg", f"{nowhere}train2014"),
        ("co-35", "COCO_val2014_000000000009.jpg", f"{nowhere}val2014"),
        ("val", "val2017/000000000012.jpg", f"{broken}the file is empty"),
        ("un-120", "unlabeled2017/000000000022.jpg", f"{broken}unknown format"),
    ]


def test_images_above_the_limit_are_refused_with_the_param_that_raises_it(project, run):
    large = Image.fromarray(picture(22)).resize((2 * WIDTH, HEIGHT))
    (project.coco / "unlabeled2017/000000000022.jpg").unlink()
    large.save(project.coco / "unlabeled2017/22.png")
    folder = {"folder": "unlabeled2017", "without": [], "count": 5}
    project.change(lambda section: section["sets"].update({"un-120": folder}))
    project.change(lambda section: section.update(max_megapixels=(2 * WIDTH * HEIGHT - 1) / 1e6))
    assert run(project, "data")[0] == 0
    reason = "128 x 48 pixels, more than 6,143; make it smaller or cut it up, or raise data."
    assert project.refused() == [
        ("un-120", "unlabeled2017/22.png", f"it has {reason}max_megapixels")
    ]
    project.change(lambda section: section.update(max_megapixels=2 * WIDTH * HEIGHT / 1e6))
    assert run(project, "data")[0] == 0
    assert project.refused() == []


def test_videos_above_the_limit_are_refused_with_the_param_that_raises_it(tmp_path):
    project = make_project(tmp_path)
    project.change(lambda section: section.update(max_megapixels=0.001))
    with chdir(project.root):
        files = data.file_sets(open_profile("coco"))
        (videos,) = (spec for spec in files.sets if spec.name == "s1m-180")
        with pytest.raises(
            DataError, match=r"1\.avi: .*64 x 48 pixels.* raise data.max_megapixels"
        ):
            files.load(videos)


def test_a_rerun_gives_the_same_bytes(project, run):
    (project.coco / "unlabeled2017/000000000022.jpg").write_text("no image at all")
    (project.coco / "train2017/000000000002.jpg").unlink()
    assert run(project, "data")[0] == 0
    first = project.contents()
    assert run(project, "data")[0] == 0
    assert project.contents() == first
    assert len(first["refused.csv"].splitlines()) == 3


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        (
            "unlabeled2017",
            "data.sets.un-120: none of 5 images is there: no such file in coco/unlab",
        ),
        ("train2017", "data.sets.co-80: none of 6 images is there: no such file in coco/train2017"),
        ("val2017", "data.val: none of 2 images is there"),
        ("annotations", "annotations/person_keypoints_val2017.json: no such file"),
    ],
)
def test_a_folder_that_is_wholly_absent_is_an_error(project, run, folder, message):
    shutil.rmtree(project.coco / folder)
    code, said = run(project, "data")
    assert code == 1
    assert message in said
    assert not project.data.exists()


def leak(project):
    """Put val's image 12 among the unlabelled ones, mirrored, smaller and encoded anew."""
    source = Image.fromarray(picture(12)[:, ::-1]).resize((WIDTH, HEIGHT))
    source.save(project.coco / "unlabeled2017/000000000023.jpg", quality=70)


def test_a_leak_is_an_error_where_leaks_are_refused(project, run):
    leak(project)
    project.change(lambda section: section.update(leaks="refuse"))
    code, said = run(project, "data")
    assert code == 1
    assert "1 images of other sets are also in val" in said
    shown = "un-120: unlabeled2017/000000000023.jpg shows the same as val2017/000000000012.jpg ("
    assert shown in said
    assert "data.leaks: drop" in said
    assert not project.data.exists()


def test_a_leak_is_dropped_and_counted_where_leaks_are_dropped(project, run):
    leak(project)
    project.change(lambda section: section.update(leaks="drop"))
    code, said = run(project, "data")
    assert code == 0
    assert "un-120: continues without 1 images" in said
    assert ids(project.set("un-120")) == [21, 22, 24, 25]
    ((name, file_name, reason),) = project.refused()
    assert (name, file_name) == ("un-120", "unlabeled2017/000000000023.jpg")
    assert reason.startswith("shows the same as val2017/000000000012.jpg")
    assert ids(project.set("val")) == IDS["val"]


def test_a_similar_image_is_kept_and_listed_where_leaks_are_allowed(project, run):
    leak(project)
    project.change(lambda section: section.update(leaks="allow", leaks_reason="one recording"))
    code, said = run(project, "data")
    assert code == 0
    assert "keeps 1 images of other sets that look like val's (one recording)" in said
    assert ids(project.set("un-120")) == IDS["un-120"]
    assert project.refused() == []
    ((line,),) = [list(csv.DictReader((project.data / "allowed.csv").read_text().splitlines()))]
    assert (line["set"], line["allowed_because"]) == ("un-120", "one recording")


def test_the_very_image_of_val_is_an_error_even_where_leaks_are_allowed(project, run):
    leak(project)
    shutil.copy(
        project.coco / "val2017/000000000011.jpg", project.coco / "train2017/000000000001.jpg"
    )
    project.change(lambda section: section.update(leaks="allow", leaks_reason="one recording"))
    code, said = run(project, "data")
    assert code == 1
    assert "1 images of other sets are also in val" in said
    assert "co-80: train2017/000000000001.jpg has the very bytes of val2017/000000000011" in said
    assert not project.data.exists()


def test_leaks_are_allowed_for_a_reason_alone(project, run):
    project.change(lambda section: section.update(leaks="allow", leaks_reason=" "))
    code, said = run(project, "data")
    assert code == 1
    assert "leaks: allow needs a leaks_reason" in said


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ([0, 3], ".block [0, 3]: expected two ascending numbers up to 2, the number of images"),
        ([1, 1], ": value error, block: expected [start, end] with start < end, found [1, 1]"),
        ([0], ".block: "),
        ("0-2", ".block: "),
    ],
)
def test_a_block_that_is_none_is_one_error(project, run, block, expected):
    part = {"seed": 0, "skip": 0, "take": None, "block": block}
    project.change(lambda section: section["val"].update(part=part))
    code, said = run(project, "data")
    assert code == 1
    assert f"data.val.part{expected}" in said
    assert not project.data.exists()


def test_val_is_the_block_of_its_part(project, run):
    part = {"seed": 0, "skip": 0, "take": None, "block": [1, 2]}
    project.change(lambda section: section["val"].update(part=part))
    assert run(project, "data")[0] == 0
    assert ids(project.set("val")) == [12]


def test_val_keeps_its_image_where_the_very_file_is_dropped_from_another_set(project, run):
    project.change(lambda d: d["sets"]["co-35"].update(without=[], count=6))
    project.change(lambda d: d["sets"]["co-35"]["images"].append("val2017"))
    code, _ = run(project, "data")
    assert code == 0
    assert ids(project.set("co-35")) == IDS["co-35"]
    assert ids(project.set("val")) == IDS["val"]
    assert [(name, file_name) for name, file_name, _ in project.refused()] == [
        ("co-35", "val2017/000000000011.jpg"),
        ("co-35", "val2017/000000000012.jpg"),
    ]


def test_images_of_val_on_their_own_have_no_family(prepared):
    assert all("family" not in image for image in prepared.set("val").images)


def one_video(project):
    def edit(content):
        for image in content["images"]:
            image["video_id"] = 7

    project.annotate("person_keypoints_val2017", edit)


def one_picture(project):
    Image.fromarray(picture(11)).save(project.coco / "val2017/000000000012.jpg", quality=60)


@pytest.mark.parametrize("alike", [one_video, one_picture])
def test_images_of_val_that_are_one_observation_are_a_family(project, run, alike):
    alike(project)
    code, said = run(project, "data")
    assert code == 0
    assert "val: 2 images in 1 families of frames or near-duplicates" in said
    assert [image["family"] for image in project.set("val").images] == [11, 11]
    others = [image for name in ("co-35", "un-120") for image in project.set(name).images]
    assert all("family" not in image for image in others)


@pytest.mark.parametrize("name", ["../train2017/000000000001.jpg", "/etc/000000000001.jpg"])
def test_a_file_name_that_leaves_its_folder_is_an_error(project, run, name):
    project.annotate("image_info_unlabeled2017", lambda c: c["images"][1].update(file_name=name))
    code, said = run(project, "data")
    assert code == 1
    assert f"data.sets.un-120: file_name {name!r} leaves the image folder" in said
    assert not project.data.exists()


def test_a_malformed_annotation_is_named_with_its_file(project, run):
    project.annotate("person_keypoints_val2014", lambda c: c["annotations"][1].update(bbox=[1, 2]))
    code, said = run(project, "data")
    assert code == 1
    assert "coco/annotations/person_keypoints_val2014.json: annotation 108: expected bbox" in said


def test_boxes_without_extent_are_left_out_with_a_warning(project, run):
    flat = {"bbox": [9.0, 10.0, 0.0, 30.0], "keypoints": [0] * 51}
    project.annotate("person_keypoints_val2014", lambda c: c["annotations"][1].update(flat))
    code, said = run(project, "data")
    assert code == 0
    assert "val2014.json: 1 annotations have boxes without extent and are left out" in said
    assert [a["image_id"] for a in project.set("co-35").annotations] == [7, 9, 10]
    assert ids(project.set("co-35")) == IDS["co-35"]


def test_persons_of_a_file_of_many_categories_are_taken(project, run):
    def many(content):
        content["categories"] = [{"id": 1, "name": "person"}, CAR]
        content["annotations"].append(annotation(3, id=999, category_id=3))

    project.annotate("person_keypoints_train2014", many)
    assert run(project, "data")[0] == 0
    assert [a["id"] for a in project.set("co-80").annotations] == list(range(101, 107))
    assert project.set("co-80").categories == [PERSON]


def test_parts_of_a_union_that_share_ids_are_an_error(project, run):
    project.annotate("person_keypoints_train2014", lambda c: c["annotations"][0].update(id=107))
    code, said = run(project, "data")
    assert code == 1
    assert "two annotations of a union have the id 107" in said


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        (
            "val",
            {"folder": "val2017", "without": [], "count": None},
            "data.sets.val: val has a section of its own",
        ),
        ("more", {"union": ["un-120", "co-115"]}, "data.sets.more.union: 'co-115' is a union"),
        ("more", {"union": "co-80"}, "data.sets.more.union: input should be a valid list"),
    ],
)
def test_a_set_that_cannot_be_made_is_a_wrong_key(project, run, name, spec, message):
    project.change(lambda section: section["sets"].update({name: spec}))
    code, said = run(project, "data")
    assert code == 1
    assert "has 1 wrong key\n" in said
    assert message in said


def test_a_set_of_which_nothing_is_left_is_explained(project, run):
    path = "annotations/person_keypoints_val2014.json"
    project.change(lambda d: d["sets"]["co-35"].update(without=[path], count=None))
    code, said = run(project, "data")
    assert code == 1
    assert f"data.sets.co-35: expected images, found none: {path} lists 6, 6 of them are" in said


def own_folder(section, folder, count=None):
    section["sets"]["un-120"] = {"folder": folder, "without": [], "count": count}


def test_a_plain_folder_of_images_is_a_set(project, run):
    project.change(lambda section: own_folder(section, "unlabeled2017", 6))
    (project.coco / "unlabeled2017/broken.png").write_text("no image at all")
    (project.coco / "unlabeled2017/notes.txt").write_text("no matter")
    assert run(project, "data")[0] == 0
    content = project.set("un-120")
    assert [i["file_name"] for i in content.images] == [
        f"unlabeled2017/{number:012d}.jpg" for number in IDS["un-120"]
    ]
    assert len(set(ids(content))) == 5
    ((name, file_name, reason),) = project.refused()
    assert (name, file_name) == ("un-120", "unlabeled2017/broken.png")
    assert reason.startswith("no readable image")


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("nowhere", "coco/nowhere: no such folder of images"),
        ("annotations", "data.sets.un-120: expected images, found none"),
        ("text", "data.sets.un-120: expected images, found none, text/a.jpg: no readable image"),
    ],
)
def test_a_folder_without_an_image_is_an_error(project, run, folder, message):
    (project.coco / "text").mkdir()
    (project.coco / "text/a.jpg").write_text("no image at all")
    project.change(lambda section: own_folder(section, folder))
    code, said = run(project, "data")
    assert code == 1
    assert message in said


def test_the_root_itself_may_be_the_folder_of_images(project, run):
    project.change(lambda section: own_folder(section, "."))
    shutil.rmtree(project.coco / "unlabeled2017")
    Image.fromarray(picture(77)).save(project.coco / "mine.jpg")
    assert run(project, "data")[0] == 0
    names = [image["file_name"] for image in project.set("un-120").images]
    numbers = range(1, 11)  # val's are leaks
    assert names == ["root/mine.jpg", *(f"root/train2017/{n:012d}.jpg" for n in numbers)]


@pytest.mark.parametrize(
    ("make", "folder"), [("a/b", "a-b"), ("s1m-180", "s1m-180"), ("../x", "x")]
)
def test_two_folders_of_one_name_are_an_error(project, run, make, folder):
    first = {"per_video": 1, "videos": "sports-1m", "seed": 0, "repeats": "keep", "count": None}
    if make != "s1m-180":
        first = {"folder": make, "without": [], "count": None}
    project.change(lambda d: d["sets"].update({"s1m-180": first}))
    project.change(lambda section: own_folder(section, folder))
    for name in (make, folder):
        (project.coco / name).mkdir(parents=True, exist_ok=True)
    code, said = run(project, "data")
    assert code == 1
    assert f"would both be found as '{folder}'; rename one of them" in said


def test_a_folder_where_a_link_must_be_is_not_touched(project, run):
    kept = project.images / "val2017/mine.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    code, said = run(project, "data")
    assert code == 1
    assert "work/coco/images/val2017: expected a link to coco/val2017, found a folder" in said
    assert kept.read_text() == "mine"


def test_a_link_follows_the_root_of_the_data(project, run):
    assert run(project, "data")[0] == 0
    project.coco.rename(project.root / "elsewhere")
    project.change(lambda section: section.update(root="elsewhere"))
    assert run(project, "data")[0] == 0
    assert (project.images / "val2017").resolve() == (project.root / "elsewhere/val2017").resolve()


def test_frames_that_repeat_an_earlier_one_are_dropped_where_asked(tmp_path, run):
    project = make_project(tmp_path / "project")
    shutil.copy(project.coco / "sports-1m/1.avi", project.coco / "sports-1m/4.avi")
    for name in "56":
        write_video(project.coco / f"sports-1m/{name}.avi", [5] * 3)
    (project.coco / "sports-1m/7.avi").write_text("no video")
    project.change(lambda d: d["sets"]["s1m-180"].update(repeats="drop", count=7))
    code, said = run(project, "data")
    assert code == 0
    assert "s1m-180: continues without" in said
    kept = {image["video"]: image["file_name"] for image in project.set("s1m-180").images}
    reasons = {name: reason for _, name, reason in project.refused()}
    assert "5.avi" in kept
    assert "6.avi" not in kept
    assert f"shows the same as {kept['5.avi']}" in reasons.values()
    assert reasons["7.avi"].startswith("expected a video")
