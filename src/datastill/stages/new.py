"""Command `new`: somebody's own data become a profile, its values chosen from what they hold."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from datastill.data.coco import write_text
from datastill.errors import ParamsError
from datastill.params import FileData, load_params
from datastill.params.writing import own_params
from datastill.stages.brought import Brought
from datastill.stages.choices import (
    BATCH,
    CPU,
    GPU,
    PAPER_LONG,
    PAPER_TRAINS,
    PAPER_VIEWS,
    Choices,
    choose,
    statistics,
)
from datastill.stages.findings import describe
from datastill.stages.gather import check_links
from datastill.stages.place import DEFAULT_PROFILE
from datastill.stages.survey import Survey, survey

PIPELINES = Path("pipelines")
STAGES = Path("dvc.yaml")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SUITES_OWN = (DEFAULT_PROFILE, "coco", "seeds", "boxes", "ablations")
_FRAMES = 10  # of a video: neighbours show the same, and `repeats: drop` leaves those out
_MOST_WATCHED = 20_000  # files: DVC looks at each before every run
_DETECTRON_LONG = 5  # sides: its views are cut short at 4000 of 800


def run(name: str, brought: Brought) -> str:
    """Write `pipelines/<name>/`, all of it or nothing; return what was found, chosen and goes on.

    Raises ParamsError for a name that cannot be one, DataError for data that make no profile.
    """
    _check_name(name)
    found = survey(brought)
    chosen = choose(
        statistics(found.sets["labelled"], found.task), GPU if torch.cuda.is_available() else CPU
    )
    data, unwatched = _data(brought, found)
    found.notes += unwatched
    lines = [*describe(found), *_decided(chosen)]
    text = own_params(_values(name, brought, found, chosen), data, _views(chosen), lines)
    _write(name, text)
    steps = [f"datastill plan {name}", f"dvc repro {PIPELINES / name / STAGES}"]
    return "\n".join(
        [*lines, f"written: {PIPELINES / name}", "", "next", *(f"  {s}" for s in steps)]
    )


def _check_name(name: str) -> None:
    if not STAGES.is_file():
        raise ParamsError(f"{STAGES}: no such file; run datastill in the project's root")
    if not _NAME.fullmatch(name):
        raise ParamsError(
            f"{name!r}: expected the name of a folder of its own, of letters, digits, - and _"
        )
    if name in _SUITES_OWN:
        raise ParamsError(f"{name!r} is the name of a profile of the suite; choose another")
    if (PIPELINES / name).exists():
        raise ParamsError(f"{PIPELINES / name} is there already; choose another name or remove it")


def _decided(chosen: Choices) -> Iterator[str]:
    machine = "a GPU" if chosen.hardware is GPU else "a CPU"
    yield f"backbone: {chosen.hardware.backbone}, for {machine}"
    yield f"short side: {chosen.plain_side}; {chosen.why_side}"
    yield f"views: short side {', '.join(map(str, _views(chosen)))}, each also mirrored"
    yield f"iterations: {chosen.iterations:,}; {chosen.why_iterations}"
    yield f"iterations of student and control: {chosen.student_iterations:,}"


def _views(chosen: Choices) -> list[int]:
    return [chosen.side(view) for view in PAPER_VIEWS]


def _values(name: str, brought: Brought, found: Survey, chosen: Choices) -> dict[str, Any]:
    return {
        "profile": name,
        "task": found.task,
        "seed": brought.division.seed,
        "batch": BATCH,
        **asdict(chosen.hardware),
        "warmup": min(chosen.hardware.warmup, chosen.iterations // 4),
        "plain": chosen.plain_side,
        "plain_long": chosen.side(PAPER_LONG),
        "train_low": chosen.side(PAPER_TRAINS),
        "views_long": chosen.side(_DETECTRON_LONG),
        "iterations": chosen.iterations,
        "why_iterations": chosen.why_iterations,
        "student": chosen.student_iterations,
    }


def _data(brought: Brought, found: Survey) -> tuple[dict[str, Any], list[str]]:
    """Return section `data` and what is to be said about what DVC watches."""
    root = _root(brought)
    labels = _annotations(brought, root)
    sets: dict[str, Any] = {
        name: labels | ({"part": asdict(found.spans[name])} if name in found.spans else {})
        for name in ("labelled", "unlabelled")
        if name == "labelled" or name in found.spans
    }
    if brought.unlabelled:
        sets["unlabelled"] = _others(brought.unlabelled, brought.division.seed, root, found.videos)
    else:
        sets["all"] = {"union": ["labelled", "unlabelled"]}
    if brought.val:
        folder = brought.val_images or brought.images
        val = {**labels, "annotations": _from(root, brought.val), "images": [_from(root, folder)]}
    else:
        val = labels | {"part": asdict(found.spans["val"])}
    watched, notes = _watched(root, brought)
    head = {"source": "files", "watched": watched, "root": root.as_posix(), "leaks": "drop"}
    return {**head, "sets": sets, "val": val}, notes


def _annotations(brought: Brought, root: Path) -> dict[str, Any]:
    folder = _from(root, brought.images)
    return {
        "annotations": _from(root, brought.labelled),
        "without": [],
        "images": [folder],
        "count": None,
    }


def _others(source: Path, seed: int, root: Path, videos: int) -> dict[str, Any]:
    if not videos:
        return {"folder": _from(root, source), "without": ["labelled", "val"], "count": None}
    frames = {"per_video": _FRAMES, "seed": seed, "repeats": "drop", "count": None}
    return {"videos": _from(root, source), **frames}


def _root(brought: Brought) -> Path:
    """Return the folder that all is below: relative where that is in the project."""
    files = [path for path in (brought.labelled, brought.val) if path]
    folders = [path for path in (brought.images, brought.val_images) if path]
    if other := brought.unlabelled:
        (files if other.is_file() else folders).append(other)
    places = [path.absolute() for path in folders] + [path.absolute().parent for path in files]
    common = Path(os.path.commonpath([os.path.normpath(place) for place in places]))
    here = Path.cwd()
    return common.relative_to(here) if common.is_relative_to(here) else common


def _from(root: Path, path: Path) -> str:
    return os.path.relpath(path.absolute(), root.absolute())


def _watched(root: Path, brought: Brought) -> tuple[str, list[str]]:
    """Return what DVC makes the sets again for: all data where it may, else the labels alone."""
    holds_project = Path.cwd().is_relative_to(root.absolute())
    if not holds_project and root != Path.home() and _few(root):
        return root.as_posix(), []
    root = root.absolute()
    labels = (
        _from(Path.cwd(), brought.labelled) if holds_project else str(brought.labelled.absolute())
    )
    return labels, [
        f"DVC watches {labels} alone: after other changes `dvc repro -f` the stage data"
    ]


def _few(root: Path) -> bool:
    count = 0
    for _, _, names in os.walk(root):
        count += len(names)
        if count > _MOST_WATCHED:
            return False
    return True


def _write(name: str, text: str) -> None:
    """Make the profile's folder whole: what is wrong with it is found before it has its name."""
    PIPELINES.mkdir(exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=PIPELINES))
    try:
        unfinished.chmod(PIPELINES.stat().st_mode)
        shutil.copyfile(STAGES, unfinished / STAGES)
        write_text(unfinished / "params.yaml", text)
        params = load_params(unfinished / "params.yaml")
        if isinstance(params.data, FileData):
            check_links(params.data)
        unfinished.rename(PIPELINES / name)
    except BaseException:
        shutil.rmtree(unfinished)
        raise
