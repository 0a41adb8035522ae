"""Git that fails, or is not there."""

import pytest

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
