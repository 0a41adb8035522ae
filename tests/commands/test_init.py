"""Command `init`: a project of one's own, with real git and DVC."""

import subprocess

import pytest
import yaml
from own_files import LABELS, OTHERS, Project, labels, write, write_images
from places import ROOT

from datastill.project.provenance import code_version
from datastill.project.release import installed_release
from datastill.project.template import own_stages
from datastill.scheduler.graph import DVC

WRITTEN = [
    ".dvc", ".dvcignore", ".git", ".gitignore", "README.md", "datastill.yaml", "dvc.yaml",
]  # fmt: skip


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def definitions(text):
    """Every stage of a dvc.yaml, without its loop."""
    return {name: stage.get("do", stage) for name, stage in yaml.safe_load(text)["stages"].items()}


def dvc_status(root):
    command = (*DVC, "status", "pipelines/own/dvc.yaml")
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project that `init` wrote in this process, to be read."""
    from datastill.commands import init

    folder = tmp_path_factory.mktemp("made") / "own"
    init.run(folder)
    return folder


@pytest.mark.slow  # git and DVC start
def test_a_project_is_a_repository_with_dvc_and_a_readme_of_ten_lines(made):
    assert names(made) == WRITTEN
    assert yaml.safe_load((made / "datastill.yaml").read_text()) == {"version": installed_release()}
    readme = (made / "README.md").read_text()
    assert readme.startswith("# own\n")
    assert f"wheel of version {installed_release()}" in readme
    assert len([line for line in readme.splitlines() if line]) <= 10
    ignored = subprocess.run(["git", "check-ignore", "work/own", "mlflow.db"], cwd=made, text=True)
    assert ignored.returncode == 0


def test_stages_depend_on_the_release_instead_of_the_source_and_are_else_the_same():
    own, source = definitions(own_stages()), definitions((ROOT / "dvc.yaml").read_text())
    assert own.keys() == source.keys()
    for name, stage in own.items():
        release, params = stage.pop("params")
        assert release == {"datastill.yaml": ["version"]}
        assert [params] == source[name].pop("params")
        deps = [path for path in source[name].pop("deps") if not path.startswith("src/")]
        assert stage.pop("deps", []) == deps
        assert stage == source[name]


@pytest.mark.slow
def test_new_and_dvc_work_in_it(made, datastill):
    project = Project(made)
    write_images(project.mine / "photos", range(20))
    write_images(project.mine / "others", range(100, 105))
    write(project.mine / "labels.json", labels(range(20)))
    answer = datastill("plan", "own", cwd=made)
    assert "pipelines/own/params.yaml: no such file; `datastill new` writes one" in answer.stderr
    answer = datastill("new", "own", *LABELS, *OTHERS)
    assert answer.returncode == 0, answer.stderr
    assert (made / "pipelines/own/dvc.yaml").read_bytes() == (made / "dvc.yaml").read_bytes()
    status = dvc_status(made)
    assert status.returncode == 0, status.stderr
    assert "pipelines/own/dvc.yaml:tables@table1" in status.stdout
    assert "src/" not in status.stdout
    assert "no such file; the profiles are own" in datastill("plan").stderr
    assert datastill("data", "--profile", "own").returncode == 0
    assert code_version() == f"datastill {installed_release()}"


def test_another_release_than_the_projects_runs_no_stage(datastill, tmp_path):
    for recorded in ("version: 0.0.1", "0.0.1"):
        (tmp_path / "datastill.yaml").write_text(recorded)
        answer = datastill("data", "--profile", "own", cwd=tmp_path)
        assert answer.returncode == 1
        assert f"datastill.yaml: version: expected '{installed_release()}'" in answer.stderr
        assert names(tmp_path) == ["datastill.yaml"]


def test_what_cannot_become_a_project_stays_as_it_is(datastill, tmp_path, monkeypatch):
    full = tmp_path / "full"
    full.mkdir()
    (full / "a.txt").touch()
    answer = datastill("init", full)
    assert (answer.returncode, names(full)) == (1, ["a.txt"])
    assert f"{full}: expected a new or an empty folder" in answer.stderr

    subprocess.run(["git", "init", "-q", tmp_path / "outer"], check=True)
    inner = tmp_path / "outer/a/b"
    answer = datastill("init", inner)
    assert answer.returncode == 1
    assert f"{inner}: is in the git repository {tmp_path / 'outer'}" in answer.stderr
    assert names(tmp_path / "outer") == [".git"]

    monkeypatch.setenv("PATH", "")
    answer = datastill("init", tmp_path / "new")
    assert answer.returncode == 1
    assert "git cannot be run" in answer.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("is_new", [True, False])
def test_without_dvc_nothing_is_left(datastill, tmp_path, monkeypatch, is_new):
    monkeypatch.setattr("datastill.scheduler.graph.DVC", ("python3", "-c", "exit('No DVC')"))
    folder = tmp_path / "new"
    if not is_new:
        folder.mkdir()
    answer = datastill("init", folder)
    assert answer.returncode == 1
    assert "dvc init -q failed: No DVC" in answer.stderr
    assert [*tmp_path.rglob("*")] == ([] if is_new else [folder])


@pytest.mark.slow
def test_a_folder_that_an_outer_repository_ignores_will_do(datastill, tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("/mine/\n")
    assert datastill("init", tmp_path / "mine").returncode == 0
    assert names(tmp_path / "mine") == WRITTEN
