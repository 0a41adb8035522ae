"""The code behind a number, and what an edit of it makes anew."""

import json
import os
import re
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from datastill.progress import note_once
from datastill.project import provenance
from datastill.project.profile import open_profile
from datastill.stages import train

CPUS = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package whose code is the one in use, as far as provenance knows."""
    target = tmp_path / "datastill"
    shutil.copytree(provenance._PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "_PACKAGE", target)
    return target


def test_a_folder_of_another_repository_has_no_commit_of_its_own(tmp_path, monkeypatch, caplog):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "of another project"], check=True)
    (tmp_path / "unpacked").mkdir()
    for folder, known in ((tmp_path, True), (tmp_path / "unpacked", False)):
        monkeypatch.chdir(folder)
        assert (provenance.code_version() != "unknown") == known
        assert ("the repository here is another" in caplog.text) != known


@pytest.mark.skipif("cpu family" not in CPUS, reason="this system does not number its CPUs")
def test_the_generation_of_the_cpu_is_named_as_two_of_one_name_round_differently():
    keys = ("cpu family", "model")
    family, model = (re.search(rf"^{key}\s*: (\d+)$", CPUS, re.MULTILINE)[1] for key in keys)
    assert provenance._processor().endswith(f" (family {family}, model {model})")


def test_without_a_repository_the_commit_is_unknown_and_that_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    note_once.cache_clear()  # another test may have been the first
    assert provenance.code_version() == "unknown"
    assert "the commit of the code is recorded as unknown: git rev-parse" in caplog.text
    assert "not a git repository" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository away")
def test_in_a_repository_of_another_owner_the_commit_is_unknown_and_gits_reason_is_said(
    tmp_path, monkeypatch, caplog
):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "of a colleague"]):
        subprocess.run([*git, *command], check=True)
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 4321, 4321)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUDO_UID", raising=False)  # whose repositories git trusts too
    note_once.cache_clear()
    assert provenance.code_version() == "unknown"
    assert "dubious ownership" in caplog.text


def test_results_of_uncommitted_code_say_so_and_a_lock_is_not_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("src/a.py", "params.yaml", "pipelines/own/dvc.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run(["git", *identity, *command], check=True)
    commit = provenance.code_version()
    assert len(commit) == 40
    (tmp_path / "pipelines/own/dvc.lock").write_text("2\n")
    assert provenance.code_version() == commit
    for name in ("src/a.py", "params.yaml"):
        (tmp_path / name).write_text("2\n")
        assert provenance.code_version() == f"{commit}+changes"
        (tmp_path / name).write_text("1\n")


@pytest.mark.parametrize(
    ("module", "trains", "infers"),
    [
        ("coco/format.py", True, False),
        ("images/load.py", True, True),
        ("images/manifest.py", True, False),
        ("instances.py", False, True),
        ("training/loop.py", True, False),
        ("training/sampler.py", True, False),
        ("synthetic/drawing/poses.py", False, False),
        ("model/detector.py", True, True),
        ("inference/views.py", False, True),
        ("images/geometry.py", True, True),
        ("distill/candidates.py", False, True),
        ("distill/shards.py", False, True),
        ("distill/thresholds.py", False, False),
        ("report/render.py", False, False),
    ],
)
def test_what_is_made_by_other_code_is_made_anew(package, module, trains, infers):
    before = provenance.training_code(), provenance.inference_code()
    (package / module).write_text((package / module).read_text() + "# other\n")
    after = provenance.training_code(), provenance.inference_code()
    assert [one != other for one, other in zip(before, after, strict=True)] == [trains, infers]


def test_a_training_run_resumes_under_the_code_that_began_it_alone(copy, package, monkeypatch):
    def interrupted(fabric, detector, minibatches, settings, report):
        begun.append(settings.fingerprint)
        raise KeyboardInterrupt

    begun, attempts = [], []
    monkeypatch.chdir(copy.root)
    monkeypatch.setattr(train, "train", interrupted)
    monkeypatch.setattr(train, "follow_row", lambda *_: nullcontext())
    for edit in ("", "", "# other\n"):
        with (package / "training/loop.py").open("a") as file:
            file.write(edit)
        with pytest.raises(KeyboardInterrupt):
            train.run(open_profile("miniature"), "co-35")
        card = json.loads((copy.root / "work/miniature/training/co-35/card.json").read_text())
        attempts.append(card["attempt"])
    for first, again, other in (begun, attempts):
        assert first == again != other
