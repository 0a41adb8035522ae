"""Two processes are never at the same stage of a row: the second says which one is."""

import json
import os

import numpy as np
import pytest
import torch
import yaml
from raw_params import read

from datastill.errors import DatastillError
from datastill.io import digest, write_text
from datastill.project import stage_lock
from datastill.project.profile import open_profile
from datastill.project.stage_lock import is_locked, lock_stage


@pytest.fixture
def profile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage_lock, "PATIENCE_SECONDS", 0.05)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(read()))
    (tmp_path / "work/miniature").mkdir(parents=True)
    return open_profile("miniature")


def test_the_second_at_a_row_is_refused_with_the_first_ones_process_and_others_go_on(profile):
    with lock_stage(profile, "train", "co-35"):
        with pytest.raises(DatastillError) as refused, lock_stage(profile, "train", "co-35"):
            pass
        for stage, row in (("train", "co-115"), ("evaluate", "co-35"), ("data", "")):
            with lock_stage(profile, stage, row):
                pass
    for part in (
        f"process {os.getpid()} is still running `datastill train co-35`",
        f"`kill {os.getpid()}`",
    ):
        assert part in str(refused.value)
    with lock_stage(profile, "train", "co-35"):
        pass


def test_processes_of_one_distributed_training_run_do_not_wait_for_each_other(profile, monkeypatch):
    with lock_stage(profile, "train", "co-35"):
        for rank in "01":
            monkeypatch.setenv("RANK", rank)
            with lock_stage(profile, "train", "co-35"):
                pass


def test_a_stage_that_is_about_to_fail_leaves_no_lock(profile):
    with lock_stage(profile, "train", "../../out"):
        assert [*profile.work.iterdir()] == []
    profile.work.rmdir()
    with lock_stage(profile, "train", "co-35"):
        assert not profile.work.exists()


@pytest.fixture
def card(profile):
    """The card of a model that is trained again and again."""
    write_text(profile.model("co-35") / "card.json", "{}")
    return profile.model("co-35") / "card.json"


def test_the_peak_memory_of_a_training_run_is_kept_once_it_has_ended_well(profile, card):
    path = profile.usage("co-35")
    with pytest.raises(ZeroDivisionError), lock_stage(profile, "train", "co-35"):
        1 / 0  # noqa: B018
    with lock_stage(profile, "evaluate", "co-35"):
        pass
    assert not path.exists()
    block = np.ones(2**27 // 8)  # 128 MiB
    with lock_stage(profile, "train", "co-35"):
        pass
    usage = json.loads(path.read_text())
    assert block.nbytes < usage["peak_bytes"] < 2**34
    assert usage["card"] == digest(card)
    assert "peak_gpu_bytes" not in usage or torch.cuda.is_available()


def test_of_a_distributed_training_run_the_largest_peak_stays(profile, card, monkeypatch):
    path = profile.usage("co-35")
    monkeypatch.setenv("RANK", "1")
    with lock_stage(profile, "train", "co-35"):
        pass
    assert not path.exists()
    write_text(path, json.dumps({"card": digest(card), "peak_bytes": 1, "peak_gpu_bytes": 5}))
    monkeypatch.delenv("RANK")
    with lock_stage(profile, "train", "co-35"):
        pass
    usage = json.loads(path.read_text())
    assert usage["peak_bytes"] > 2**20
    assert usage["peak_gpu_bytes"] >= 5
    write_text(card, '{"of": "another"}')
    with lock_stage(profile, "train", "co-35"):
        pass
    assert json.loads(path.read_text())["card"] == digest(card)
    assert json.loads(path.read_text()).get("peak_gpu_bytes") != 5


def test_a_damaged_record_of_peak_memory_costs_no_training_run(profile, card):
    write_text(profile.usage("co-35"), '{"card": ')
    with lock_stage(profile, "train", "co-35"):
        pass
    assert json.loads(profile.usage("co-35").read_text())["card"] == digest(card)


def test_a_lock_is_seen_as_long_as_its_process_has_it(profile):
    assert not is_locked(profile, "train", "co-35")
    with lock_stage(profile, "train", "co-35"):
        assert is_locked(profile, "train", "co-35")
        assert not is_locked(profile, "train", "co-115")
    assert not is_locked(profile, "train", "co-35")
