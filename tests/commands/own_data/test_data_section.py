"""The sets that section `data` of a new profile makes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from own_files import OTHERS, labels, pictures, whole, write, write_images
from PIL import Image
from places import ROOT
from tiny import picture, write_video


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


REAL = ROOT.parent / "shared/real/blood-cells"


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_one_folder_of_photographs_becomes_labelled_unlabelled_and_val(project, run):
    files = ("--labelled", str(REAL / "annotations.json"), "--images", str(REAL / "images"))
    code, said = run("new", "own", *files, "--label-only", "60", "--val-count", "100")
    assert code == 0, said
    for part in ("labelled: 60 images", "unlabelled: 204 images", "val: 100 images"):
        assert part in said
    assert "RBC" in said


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


def test_val_of_its_own_is_taken_as_it_is(project, run):
    write_images(project.mine / "test", range(50, 54))
    write(project.mine / "test.json", labels(range(50, 54)))
    whole(run, *OTHERS, "--val", "mine/test.json", "--val-images", "mine/test")
    assert run("data", "--profile", "own")[0] == 0
    assert pictures(project.set("val")) == [50, 51, 52, 53]
    assert pictures(project.set("labelled")) == list(range(20))


@pytest.mark.slow
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


def test_folders_behind_links_are_not_watched_by_dvc_and_the_labels_are(project, run, tmp_path):
    for name in ("photos", "others"):
        shutil.move(project.mine / name, tmp_path / name)
        (project.mine / name).symlink_to(tmp_path / name)
    said = whole(run, *OTHERS)
    assert project.params().data.watched == "mine/labels.json"
    assert "DVC watches only mine/labels.json; after other changes: dvc repro -fs" in said


def test_a_link_that_stays_among_the_data_leaves_them_watched(project, run):
    shutil.move(project.mine / "others", project.mine / "raw")
    (project.mine / "others").symlink_to("raw")
    assert "DVC watches only" not in whole(run, *OTHERS)
    assert project.params().data.watched == "mine"


@pytest.mark.slow
def test_dvc_makes_the_sets_again_when_params_or_labels_change(project, run, under_dvc):
    shutil.copytree(under_dvc, project.root, dirs_exist_ok=True)
    shutil.copytree(ROOT / "src", project.root / "src", ignore=shutil.ignore_patterns("__pyc*"))
    whole(run, *OTHERS)

    def dvc(*command):
        answer = subprocess.run(
            ("dvc", *command), capture_output=True, text=True, env=environment()
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def stale():
        return [*json.loads(dvc("status", "--json", stage)).get(stage, ())]

    stage = "pipelines/own/dvc.yaml:data"
    dvc("repro", "-s", stage)
    assert not stale()
    path = project.root / "pipelines/own/params.yaml"
    path.write_text(path.read_text().replace("take: 2", "take: 3").replace("skip: 2", "skip: 3"))
    (changed,) = stale()
    assert "data" in str(changed)
    write_images(project.mine / "others", [105])
    assert "mine" in str(stale())
    dvc("repro", "-s", stage)
    assert len(project.set("val").images) == 3
    assert len(project.set("unlabelled").images) == 6


def environment():
    programs = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "CI": "true"}
