"""Every row with several seeds: a profile that `run --seeds` makes, through the command line."""

import shutil

import pytest
import yaml
from places import ROOT

from datastill.errors import ParamsError
from datastill.project.loading import load_params
from datastill.project.seeds import with_seeds


def test_every_row_comes_once_a_seed_with_teachers_of_its_seed(tmp_path):
    before = yaml.safe_load((ROOT / "params.yaml").read_text())
    text = with_seeds(ROOT / "params.yaml", [0, 2], "more")
    (tmp_path / "params.yaml").write_text(text)
    after = load_params(tmp_path / "params.yaml")
    assert list(after.supervised) == [
        "co-35_seed-0", "co-35_seed-2", "co-115_seed-0", "co-115_seed-2",
    ]  # fmt: skip
    student = after.distilled["co-35_co-80_seed-2"]
    assert (student.seed, student.teacher) == (2, "co-35_seed-2")
    assert student.iterations == before["distilled"]["co-35_co-80"]["iterations"]
    assert after.evaluate.with_views == ["co-115_seed-0", "co-115_seed-2"]
    assert after.train.model_dump() == before["train"]
    assert after.params_file == "pipelines/more/params.yaml"


@pytest.mark.parametrize("seeds", [[0, 0], [-1], []])
def test_seeds_that_are_none_are_refused(seeds):
    with pytest.raises(ParamsError, match="--seeds: expected different numbers"):
        with_seeds(ROOT / "params.yaml", seeds, "more")


def test_a_profile_that_has_several_seeds_already_is_refused():
    with pytest.raises(ParamsError, match="differ only in their seed"):
        with_seeds(ROOT / "pipelines/seeds/params.yaml", [0, 1], "more")


@pytest.mark.slow
def test_the_command_writes_the_profile_and_says_what_would_run(project, datastill):
    answer = project.run("datastill", "run", "--seeds", "0,1", "--dry")
    assert answer.returncode == 0, answer.stderr
    assert "supervised@co-35_seed-1" in answer.stdout
    folder = project.root / "pipelines/miniature-seeds"
    assert (folder / "dvc.yaml").read_bytes() == (project.root / "dvc.yaml").read_bytes()
    assert load_params(folder / "params.yaml").profile == "miniature-seeds"
    again = datastill("run", "--seeds", "0,x", "--dry", cwd=project.root)
    assert again.returncode == 1
    assert "--seeds: expected numbers such as 0,1,2, found '0,x'" in again.stderr


def test_a_profile_of_that_name_that_was_made_otherwise_stays(datastill, tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    path = tmp_path / "pipelines/miniature-seeds/params.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# mine\n")
    answer = datastill("run", "--seeds", "0,1", "--dry", cwd=tmp_path)
    assert answer.returncode == 1
    assert "miniature-seeds/params.yaml: was not written by --seeds" in answer.stderr
    assert path.read_text() == "# mine\n"
