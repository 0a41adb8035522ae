"""A dvc.lock of which a kill left a part comes back, and no other is touched."""

from pathlib import Path

import pytest
import yaml
from raw_params import read

from datastill.project.lock_backup import DVC_LOCKS, keep_lock, restore_lock
from datastill.project.profile import open_profile

WHOLE = "schema: '2.0'\nstages:\n  data:\n    cmd: datastill data\n"


@pytest.fixture
def profile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(read()))
    return open_profile("miniature")


@pytest.mark.parametrize("length", [0, 20, len(WHOLE) - 1])
def test_what_is_cut_short_comes_back_and_is_never_kept(profile, length):
    lock = Path("dvc.lock")
    lock.write_text(WHOLE)
    keep_lock(profile)
    lock.write_text(WHOLE[:length])
    keep_lock(profile)
    restore_lock(profile)
    assert lock.read_text() == WHOLE


def test_a_whole_one_with_another_content_or_a_conflict_stays(profile):
    lock = Path("dvc.lock")
    keep_lock(profile)  # of nothing
    restore_lock(profile)
    assert not lock.exists()
    lock.write_text(WHOLE)
    keep_lock(profile)
    lock.write_text(f"<<<<<<< HEAD\n{WHOLE}")
    restore_lock(profile)
    assert lock.read_text().startswith("<<<<<<<")


def test_dvcs_list_of_locked_paths_goes_only_if_it_is_cut_short(profile):
    DVC_LOCKS.parent.mkdir(parents=True)
    for text, stays in (("{}", True), ('{"write": {', False)):
        DVC_LOCKS.write_text(text)
        restore_lock(profile)
        assert DVC_LOCKS.exists() == stays
