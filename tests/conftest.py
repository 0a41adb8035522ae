"""A whole project at a tiny scale: real DVC, real MLflow, real images, in a folder of its own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all tests that share one `dvc repro` in one process."""
    for item in items:
        if "reproduced" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("reproduced"))


@dataclass(frozen=True)
class Project:
    """A checkout in which commands run as a user runs them."""

    root: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True
        )

    @property
    def environment(self) -> dict[str, str]:
        programs = Path(sys.executable).parent
        return {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "CI": "true"}

    def params(self) -> dict:
        return yaml.safe_load((self.root / "params.yaml").read_text())

    def write_params(self, params: dict) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def make_project(root: Path) -> Project:
    """Copy what a clone holds to `root`, at 1:3000 and with setting (a) alone."""
    root.mkdir()
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    project = Project(root)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["scale"] = 3000
    params["data"]["val"]["images"] = 16
    params["train"] |= {"batch": 4, "images_per_pass": 4, "checkpoint_every": 5, "log_every": 2}
    params["views"]["short_sides"] = [96, 128]
    params["evaluate"] |= {"resamples": 50, "with_views": []}
    params["distilled"] = {"co-35_co-80": params["distilled"]["co-35_co-80"]}
    project.write_params(params)
    return under_dvc(project)


def under_dvc(project: Project) -> Project:
    """Put what there is of a project into the hands of git and DVC."""
    for command in (("git", "init", "-q"), ("dvc", "init", "-q")):
        assert project.run(*command).returncode == 0
    return project


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which `dvc repro` has run once; tests may add to it, not break it."""
    project = make_project(tmp_path_factory.mktemp("whole") / "project")
    answer = project.run("dvc", "repro")
    assert answer.returncode == 0, answer.stderr[-3000:]
    (project.root / "repro.log").write_text(answer.stdout + answer.stderr)
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in which nothing has run."""
    return make_project(tmp_path / "project")


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """A project without anything in it."""
    (tmp_path / "bare").mkdir()
    return under_dvc(Project(tmp_path / "bare"))


@pytest.fixture
def copy(reproduced: Project, tmp_path: Path) -> Project:
    """What is left of `dvc repro`, to be changed at will."""
    shutil.copytree(reproduced.root, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")
