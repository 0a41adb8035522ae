"""Command `new`: somebody's own data become a profile, its values chosen from what they hold."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from datastill.commands.own_data import data_section as own_data
from datastill.commands.own_data.autoconfig import (
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
from datastill.commands.own_data.inputs import Inputs
from datastill.commands.own_data.inspect import Survey, survey
from datastill.commands.own_data.summary import describe
from datastill.errors import ParamsError
from datastill.io import write_text
from datastill.project.data_schema import FileData
from datastill.project.loading import load_params
from datastill.project.profile import DEFAULT_PROFILE, Profile
from datastill.project.template import own_params
from datastill.stages.data import file_sets

PIPELINES = Path("pipelines")
STAGES = Path("dvc.yaml")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SUITES_OWN = (DEFAULT_PROFILE, "coco", "seeds", "boxes", "ablations")
_DETECTRON_LONG = 5  # sides: its views are cut short at 4000 of 800


def run(name: str, inputs: Inputs, rounds: int = 1) -> str:
    """Write `pipelines/<name>/`, all of it or nothing; return what was found, chosen and goes on.

    Of several `rounds`, each has the student of the one before as its teacher.

    Raises ParamsError for a name that cannot be one, DataError for data that make no profile.
    """
    _check_name(name)
    found = survey(inputs)
    hardware = GPU if torch.cuda.is_available() else CPU
    chosen = choose(statistics(found.sets["labelled"], found.task), hardware, found.task)
    data = own_data.section(inputs, found)
    if own_data.unwatched(data):
        again = f"dvc repro -fs {PIPELINES / name / STAGES}:data"
        found.notes.append(f"DVC watches {data['watched']} alone; after other changes: {again}")
    lines = [*describe(found), *_decided(chosen)]
    values = _values(name, inputs, found, chosen)
    text = own_params(values, data, _views(chosen), lines, rounds)
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


def _values(name: str, inputs: Inputs, found: Survey, chosen: Choices) -> dict[str, Any]:
    return {
        "profile": name,
        "task": found.task,
        "seed": inputs.division.seed,
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
            file_sets(Profile(params)).check_links()
        unfinished.rename(PIPELINES / name)
    except BaseException:
        shutil.rmtree(unfinished)
        raise
