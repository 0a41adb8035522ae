"""What moved since the results of a commit."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from measured_seeds import ROWS, accepted, change, expected, put

from datastill.commands import diff
from datastill.errors import DataError
from datastill.project.profile import open_profile


def git(*command):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, *command], check=True)


@pytest.fixture
def committed(clone):
    git("init", "-q")
    git("add", "results")
    git("commit", "-qm", "seed 0")
    return clone


def compared(revision="HEAD"):
    return diff.run(open_profile("miniature"), revision, "seeds")


def test_results_that_are_a_commits_have_not_moved(committed):
    assert compared() == ("0 of 25 values moved, 0 beyond their tolerance", True)


def test_a_move_is_given_in_units_of_its_tolerance(committed):
    accepted()
    before = json.loads(Path("results/miniature/metrics/co-35.json").read_text())["ap"]
    change("co-35", ap=before - 1.5)
    change("co-115", ap50=0.0)
    text, ok = compared()
    assert not ok
    lines = [line.split() for line in text.splitlines()]
    tolerance = yaml.safe_load(expected().read_text())["values"]["co-35"]["ap"]["tolerance"]
    numbers = [f"{before:.2f}", f"{before - 1.5:.2f}", "-1.50", f"{1.5 / tolerance:.2f}"]
    assert ["ok", "co-35", "ap", *numbers] in lines
    assert ["FAIL", "co-115", "ap50"] in [line[:3] for line in lines]
    assert text.endswith("2 of 25 values moved, 1 beyond their tolerance")


def test_a_metric_without_truth_is_left_out_and_small_boxes_are_compared(committed):
    for row in ROWS:
        change(row, ap_large=None)
    for path in Path("results/seeds/metrics").glob("*.json"):
        seeds = json.loads(path.read_text())
        path.write_text(json.dumps({**seeds, "ap_large": None, "ap_small": seeds["ap"]}))
    change("co-35", ap_small=20.0)
    git("add", "results")
    git("commit", "-qm", "boxes")
    change("co-35", ap_small=0.0)
    text, ok = compared()
    assert not ok
    assert "FAIL co-35 " in text
    assert text.endswith("1 of 21 values moved, 1 beyond their tolerance")


def test_a_row_that_is_gone_fails_and_a_new_one_does_not(committed):
    put(seed=0)
    Path("results/miniature/metrics/co-115.json").unlink()
    text, ok = compared()
    assert not ok
    assert "FAIL co-115 " in text
    git("rm", "-q", "--cached", "results/miniature/metrics/co-115.json")
    git("commit", "-qm", "without co-115")
    put(seed=0)
    text, ok = compared()
    assert ok
    assert "ok   co-115 " in text


@pytest.mark.parametrize(
    ("revision", "message"),
    [("nowhere", "Not a valid object name nowhere"), ("HEAD", "no results")],
)
def test_a_revision_without_results_is_an_error_that_says_so(committed, revision, message):
    (committed / "pipelines/empty").mkdir()
    text = (committed / "params.yaml").read_text().replace("profile: miniature", "profile: empty")
    text = text.replace("params_file: params.yaml", "params_file: pipelines/empty/params.yaml")
    (committed / "pipelines/empty/params.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        diff.run(open_profile("empty"), revision, "seeds")


def test_the_commands_take_chance_from_the_profile_that_is_named(committed, datastill):
    assert datastill("accept").returncode == 0
    for command in (("accept",), ("check", "--against", "HEAD")):
        answer = datastill(*command, "--spread", "miniature")
        assert answer.returncode == 1
        assert "no row was trained with two seeds" in answer.stderr
