"""Git that fails or is not there, and an archive that it makes."""

import io
import shutil
import subprocess
import tarfile

import pytest
from configobj import ConfigObj
from places import ROOT

from datastill.errors import DataError
from datastill.project.git import git


def test_a_failure_is_empty_output_or_the_message_of_git(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert git("log", "--format=%H") == b""
    with pytest.raises(DataError, match="git log --format=%H: fatal: not a git repository"):
        git("log", "--format=%H", strict=True)


def test_a_machine_without_git_is_told_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git("status") == b""
    with pytest.raises(DataError, match="git cannot be run: No such file"):
        git("status", strict=True)


def test_dvc_does_without_git_in_an_archive_of_the_repository_alone(tmp_path):
    for name in (".gitattributes", ".dvc/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for step in (["init", "-q"], ["add", "-f", "."], ["commit", "-qm", "all"]):
        subprocess.run([*command, *step], check=True)
    archive = subprocess.run([*command, "archive", "HEAD"], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        archived = files.extractfile(".dvc/config").read().decode()
    present = (tmp_path / ".dvc/config").read_text()
    core = [ConfigObj(text.splitlines())["core"] for text in (present, archived)]
    assert core == [{"analytics": "false"}, {"analytics": "false", "no_scm": "true"}]
