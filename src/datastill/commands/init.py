"""Command `init`: a git repository with DVC for profiles of your own data."""

import shutil
from pathlib import Path

from datastill.commands.output_folder import make_folder
from datastill.errors import ParamsError
from datastill.io import write_text
from datastill.project.git import git
from datastill.project.release import RELEASE, installed_release
from datastill.project.template import own_stages
from datastill.scheduler.graph import run_dvc

_README = """\
# {name}

Your own data for datastill: `pip install` its wheel of version {release}, which brings DVC. Data go to `data/`.

    dvc add data  # labels, images and videos: in DVC, not in git
    datastill new NAME --labelled data/labels.json --images data/images --unlabelled data/more
    dvc repro pipelines/NAME/dvc.yaml  # the tables go to results/NAME/
    git add . && git commit -m NAME
    dvc remote add -d store /a/shared/folder && dvc push  # once; later dvc push

Elsewhere, `git clone` and `dvc pull` bring the data and results, and nothing runs again: not until the data,
a profile or the version in `{recorded}` changes.
"""  # noqa: E501  # as in Markdown, a paragraph's lines may be long
_RELEASE = """\
# The release of datastill that runs here; after a change DVC runs all stages again.
version: "{release}"
"""
_IGNORED = """\
# for `datastill new` to copy; DVC runs the copies in pipelines/
/dvc.yaml
# for `datastill check`; no stage reads it
/results/*/expected.yaml
"""
_FILES = {
    "README.md": _README,
    ".gitignore": "/work/\n/mlflow.db*\n/mlruns/\n/mlartifacts/\n.venv/\n__pycache__/\n",
    ".dvcignore": _IGNORED,
    ".dvc/config": "[core]\n    analytics = false\n",
    RELEASE.name: _RELEASE,
}


def run(folder: Path) -> str:
    """Make a project in `folder`, all or nothing; return the next steps.

    Raises ParamsError if `folder` is not empty or in another git repository, DatastillError if git
    or DVC fails.
    """
    _check(folder.resolve())
    is_new = not folder.exists()
    make_folder(folder)
    try:
        git("-C", str(folder), "init", "-q", strict=True)
        run_dvc("init", "-q", folder=folder)
        values = {"name": folder.resolve().name, "release": installed_release()}
        for name, text in _FILES.items():
            write_text(folder / name, text.format(**values, recorded=RELEASE))
        write_text(folder / "dvc.yaml", own_stages())
    except BaseException:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if is_new:
            folder.rmdir()
        raise
    return f"written: {folder}\n\nnext\n  cd {folder}\n  README.md has the commands"


def _check(folder: Path) -> None:
    """Check that `folder`, an absolute path, can become a repository of its own."""
    if folder.exists() and any(folder.iterdir()):
        raise ParamsError(f"{folder}: expected a new or an empty folder, found files in it")
    parent = next(path for path in (folder, *folder.parents) if path.is_dir())
    git("--version", strict=True)
    outer = git("-C", str(parent), "rev-parse", "--show-toplevel").decode().strip()
    if outer and not git("-C", outer, "check-ignore", f"{folder}/"):
        raise ParamsError(
            f"{folder}: is in the git repository {outer}, which would take its files for its own; "
            "choose a folder outside it, or name this one in its .gitignore"
        )
