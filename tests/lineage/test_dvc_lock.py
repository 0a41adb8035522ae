"""Locks of former versions, and files that are not locks."""

import pytest
import yaml

from datastill.errors import DataError
from datastill.lineage.dvc_lock import Lock


def written(folder, content):
    path = folder / "dvc.lock"
    path.write_text(yaml.safe_dump(content))
    return path


def test_params_recorded_under_former_names_have_the_present_ones(tmp_path):
    params = {"train": {"base_rate": 0.1, "batch": 4}, "select": {"least_views": None}}
    content = {"stages": {"train@a": {"params": {"params.yaml": {**params, "scale": 600}}}}}
    stage = Lock(written(tmp_path, content)).stage("train@a")
    assert stage.params["train"] == {"base_lr": 0.1, "batch": 4}
    assert stage.params["select"] == {"min_views": None}
    scales = {name: stage.params[name] for name in stage.params if name.startswith("scale")}
    assert scales == {"scale.images": 600, "scale.iterations": 600}


def test_a_digest_that_stages_disagree_about_is_kept_once_for_each(tmp_path):
    def stage(md5):
        return {"deps": [{"path": "a", "md5": md5 * 32}], "outs": [{"path": md5, "md5": md5 * 32}]}

    content = {"stages": {name: stage(name[0]) for name in ("b", "a", "a2")}}
    lock = Lock(written(tmp_path, content))
    assert lock.digests("a") == ["a" * 32, "b" * 32]
    assert lock.writer("b").name == "b"


@pytest.mark.parametrize("content", [None, ["stages"], {"stages": []}])
def test_a_file_that_is_not_a_lock_is_refused(tmp_path, content):
    with pytest.raises(DataError, match=r"dvc\.lock: expected DVC's lock file"):
        Lock(written(tmp_path, content))


def test_what_no_lock_contains_is_named_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(DataError, match="no such file; `dvc repro` writes it"):
        Lock(tmp_path / "dvc.lock")
    lock = Lock(written(tmp_path, {"stages": {}}))
    with pytest.raises(DataError, match="stage a has not run"):
        lock.stage("a")
    with pytest.raises(DataError, match="no stage has written b"):
        lock.writer("b")
