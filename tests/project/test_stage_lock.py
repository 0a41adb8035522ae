"""Two processes are never at the same stage of a row: the second says which one is."""

import json
import os
import time

import numpy as np
import pytest
import torch
import yaml
from raw_params import read

from datastill.errors import DatastillError
from datastill.project import stage_lock
from datastill.project.profile import open_profile
from datastill.project.stage_lock import lock_stage


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
        f"process {os.getpid()} still runs `datastill train co-35`",
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


def test_the_memory_and_time_of_a_stage_are_kept_once_it_has_ended_well(profile):
    path = profile.usage("train", "co-35")
    with pytest.raises(ZeroDivisionError), lock_stage(profile, "train", "co-35"):
        1 / 0  # noqa: B018
    assert not path.exists()
    block = np.ones(2**27 // 8)  # 128 MiB
    with lock_stage(profile, "train", "co-35"):
        time.sleep(0.1)
    usage = json.loads(path.read_text())
    assert block.nbytes < usage["peak_bytes"] < 2**34
    assert 0.1 <= usage["seconds"] < 60
    assert "peak_gpu_bytes" not in usage or torch.cuda.is_available()


def test_a_process_of_a_distributed_training_run_does_not_speak_for_all(profile, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with lock_stage(profile, "train", "co-35"):
        pass
    assert not profile.usage("train", "co-35").exists()
