"""What a colleague pulls from a DVC remote answers every question without a training run."""

import json
import os
import shutil

import pytest

pytestmark = pytest.mark.xdist_group("reproduced")
EXPECTED = "values:\n  co-35:\n    ap:\n      value: {}\n      tolerance: 0.5\norders: []\n"
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")


def done(project, *command):
    answer = project.run(*command)
    assert answer.returncode == 0, answer.stderr[-2000:]
    return answer.stdout + answer.stderr


def weights_of(root):
    models = root / "work/miniature/models"
    return {path.parent.name: path.read_bytes() for path in models.rglob("weights.safetensors")}


@pytest.fixture(scope="module")
def clone(reproduced, tmp_path_factory):
    """A clone of the reproduced project after `dvc push` and `dvc pull`."""
    folder, project = tmp_path_factory.mktemp("colleague"), type(reproduced)
    origin = project(shutil.copytree(reproduced.root, folder / "origin", symlinks=True))
    metrics = json.loads((origin.root / "results/miniature/metrics/co-35.json").read_text())
    (origin.root / "results/miniature/expected.yaml").write_text(EXPECTED.format(metrics["ap"]))
    done(origin, "dvc", "repro")  # other tests may have trained a row of it again
    done(origin, "dvc", "remote", "add", "-q", "-d", "store", str(folder / "store"))
    done(origin, "dvc", "push", "-q")
    done(origin, *GIT, "add", ".")
    done(origin, *GIT, "commit", "-qm", "a finished run")
    done(project(folder), "git", "clone", "-q", "origin", "clone")
    clone = project(folder / "clone")
    done(clone, "dvc", "pull", "-q")
    assert weights_of(clone.root) == weights_of(reproduced.root)
    return clone


def test_nothing_is_out_of_date(clone):
    for options in ((), ("--allow-missing",)):
        assert "Running stage" not in done(clone, "dvc", "repro", "--dry", *options)
    assert "everything is up to date" in done(clone, "datastill", "run")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (("check",), "ok   co-35 ap"),
        (("trace", "co-35_co-80", "--verify"), "teacher"),
        (("trace", "results/miniature/table1.csv:co-35", "--verify"), "co-35"),
        (("why", "co-35_co-80", "2000001"), "candidates of teacher co-35"),
        (("report",), "work/miniature/report.html"),
        (("export", "co-35_co-80", "--yolo"), "the model, for `datastill predict"),
    ],
)
def test_every_question_is_answered_without_a_training_run(
    clone, datastill, monkeypatch, command, answer
):
    before = weights_of(clone.root)
    monkeypatch.setattr("datastill.stages.train.run", lambda *_: pytest.fail("a training run"))
    told = datastill(*command, cwd=clone.root)
    assert told.returncode == 0, told.stderr
    assert answer in told.stdout
    assert weights_of(clone.root) == before


def test_the_page_of_a_clone_has_its_images(clone, datastill):
    shutil.rmtree(clone.root / "work/miniature/images", ignore_errors=True)
    assert datastill("report", cwd=clone.root).returncode == 0
    page = (clone.root / "work/miniature/report.html").read_text()
    assert "data:image/webp" in page
    assert "cannot be read" not in page


def test_a_second_user_may_read_every_file_and_enter_every_folder(clone, reproduced):
    mask = os.umask(0)
    os.umask(mask)
    for root in (clone.root, reproduced.root):
        names = (
            name for name in ("work", "results", "mlflow.db", "mlruns") if (root / name).exists()
        )
        for top in (root / name for name in names):
            for path in (top, *top.rglob("*")):
                needed = (0o055 if path.is_dir() else 0o044) & ~mask
                assert path.lstat().st_mode & needed == needed, path
