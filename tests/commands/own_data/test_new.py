"""Command `new`, as a user runs it, on tiny images: the profile it writes and what it refuses."""

import ctypes
import os
import subprocess
import sys

import pytest
import torch
import yaml
from own_files import LABELS, OTHERS, refused, spoil, whole
from places import ROOT


def test_a_profile_runs_the_same_stages_and_its_params_are_valid_and_commented(project, run):
    whole(run, *OTHERS)
    folder = project.root / "pipelines/own"
    assert sorted(path.name for path in folder.iterdir()) == ["dvc.yaml", "params.yaml"]
    assert (folder / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()
    params = project.params()
    assert (params.profile, params.task) == ("own", "keypoints")
    assert (params.scale.images, params.scale.iterations) == (1, 1)
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


def test_a_backbone_and_iterations_that_are_asked_for_replace_the_choice(project, run):
    code, text = run("new", "own", *LABELS, *OTHERS, "--backbone", "small", "--iterations", "650")
    assert code == 0
    rows = project.params().rows()
    assert {row.backbone for row in rows.values()} == {"small"}
    assert [row.iterations for row in rows.values()] == [650, 1800, 1800]
    assert "chosen by you" in text
    code, text = run("new", "other", *LABELS, *OTHERS, "--backbone", "large")
    assert code == 1
    assert "backbone 'large' is unknown; there are small" in text
    assert not (project.root / "pipelines/other").exists()


def test_images_are_turned_only_if_asked_for(project, run):
    for name, more in (("upright", []), ("above", ["--quarter-turns"])):
        code, text = run("new", name, *LABELS, *OTHERS, *more)
        assert code == 0
        assert ("turned by 90, 180 and 270 degrees, four times as many" in text) == bool(more)
        assert project.params(name).train.quarter_turns == bool(more)
        assert project.params(name).views.quarter_turns == bool(more)


def test_images_are_never_mirrored_if_so_asked(project, run):
    for name, more in (("mirrored", []), ("never", ["--no-flip"])):
        code, text = run("new", name, *LABELS, *OTHERS, *more)
        assert code == 0
        assert ("each also mirrored" in text) != bool(more)
        assert project.params(name).train.flip != bool(more)
        assert project.params(name).views.flip != bool(more)


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
        ("miniature", "'miniature' is the profile of the root; choose another name"),
        ("taken", "pipelines/taken exists"),
    ],
)
def test_a_name_that_is_taken_or_none_is_refused(project, run, name, expected):
    (project.root / "pipelines/taken").mkdir()
    assert expected in refused(project, run, *LABELS, *OTHERS, name=name)


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


@pytest.mark.slow
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


def test_control_characters_in_a_category_are_written_out(project, run):
    spoil(project, lambda content: content["categories"][0].update(name="\x1b[31mred"))
    said = whole(run, *OTHERS)
    assert "\x1b" not in said
    assert "\\x1b[31mred" in (project.root / "pipelines/own/params.yaml").read_text()
