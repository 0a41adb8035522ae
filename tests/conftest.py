"""A whole project at a tiny scale: real DVC, real MLflow, real images, in a folder of its own."""

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hands import hands, profile, write_hands  # noqa: F401
from places import ROOT

from datastill.cli import main

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell sets it in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests of one module, and all that share one `dvc repro`, in one process.

    What needs a whole pipeline before it begins is slow.
    """
    for item in items:
        shared = {"reproduced", "hands"} & {*getattr(item, "fixturenames", ())}
        if shared:
            item.add_marker(pytest.mark.slow)
        if shared:
            item.add_marker(pytest.mark.xdist_group(shared.pop()))
        elif item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.location[0]))


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


def make_project(root: Path, under_dvc: Path) -> Project:
    """Copy what a clone holds to `root`, with a 3,000th of the images and setting (a) alone."""
    shutil.copytree(under_dvc, root)
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    project = Project(root)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["scale"] = {"images": 3000, "iterations": 7200}
    params["data"]["val"]["images"] = 16
    params["train"] |= {"batch": 4, "micro_batch_size": 4, "checkpoint_every": 5, "log_every": 2}
    params["views"]["short_sides"] = [96, 128]
    params["select"]["images_without"] = "keep"
    params["evaluate"] |= {"resamples": 50, "with_views": []}
    params["distilled"] = {"co-35_co-80": params["distilled"]["co-35_co-80"]}
    project.write_params(params)
    return project


@pytest.fixture
def datastill(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the program in this process; its answer is what a process of its own would give."""

    def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = ["datastill", *map(str, arguments)]
        if cwd:
            monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", command)
        monkeypatch.setattr("gc.freeze", lambda: None)  # this process goes on
        caplog.clear()
        caplog.set_level(logging.WARNING)
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        errors = caplog.text + told.err
        assert "Traceback" not in errors
        return subprocess.CompletedProcess(command, ended.value.code or 0, told.out, errors)

    return run


@pytest.fixture(scope="session")
def under_dvc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the hands of git and DVC and without anything in it, to be copied."""
    folder = tmp_path_factory.mktemp("under_dvc")
    for command in (("git", "init", "-q"), ("dvc", "init", "-q")):
        assert Project(folder).run(*command).returncode == 0
    return folder


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory, under_dvc: Path) -> Project:
    """A project in which `dvc repro` has run once; tests may add to it, not break it."""
    project = make_project(tmp_path_factory.mktemp("whole") / "project", under_dvc)
    answer = project.run("dvc", "repro")
    assert answer.returncode == 0, answer.stderr[-3000:]
    (project.root / "repro.log").write_text(answer.stdout + answer.stderr)
    return project


@pytest.fixture
def project(tmp_path: Path, under_dvc: Path) -> Project:
    """A project in which nothing has run."""
    return make_project(tmp_path / "project", under_dvc)


@pytest.fixture
def bare(tmp_path: Path, under_dvc: Path) -> Project:
    """A project without anything in it."""
    return Project(shutil.copytree(under_dvc, tmp_path / "bare"))


@pytest.fixture
def copy(reproduced: Project, tmp_path: Path) -> Project:
    """What is left of `dvc repro`, to be changed at will."""
    shutil.copytree(reproduced.root, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")
