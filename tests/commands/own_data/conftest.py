"""A project in which `datastill new` runs on a user's data."""

import shutil

import pytest
from own_files import Project, labels, write, write_images
from places import ROOT


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = tmp_path / "project"
    (root / "pipelines").mkdir(parents=True)
    shutil.copy(ROOT / "dvc.yaml", root / "dvc.yaml")
    project = Project(root)
    write_images(project.mine / "photos", range(20))
    write_images(project.mine / "others", range(100, 105))
    write(project.mine / "labels.json", labels(range(20)))
    monkeypatch.chdir(root)
    return project


@pytest.fixture
def run(datastill):
    """Run the program; return its exit code and what it says."""

    def command(*arguments):
        answer = datastill(*arguments)
        return answer.returncode, answer.stdout + answer.stderr

    return command
