"""Command `new`: a profile of your own data, with settings chosen from the data."""

import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from datastill.commands.own_data.autoconfig import CPU, GPU, NO_WISHES, Wishes, choose, measure
from datastill.commands.own_data.data_section import section
from datastill.commands.own_data.inputs import Inputs
from datastill.commands.own_data.inspect import inspect
from datastill.commands.own_data.summary import describe
from datastill.errors import ParamsError
from datastill.io import write_text
from datastill.model.precision import best_device
from datastill.project.data_schema import FileData
from datastill.project.loading import load_params
from datastill.project.profile import DEFAULT_PROFILE, Profile
from datastill.project.template import own_params
from datastill.stages.data import file_sets

PIPELINES = Path("pipelines")
STAGES = Path("dvc.yaml")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def run(name: str, inputs: Inputs, wishes: Wishes = NO_WISHES) -> str:
    """Write `pipelines/<name>/`, all or nothing; return a summary, the settings and next steps.

    Raises ParamsError for an invalid name or backbone, DataError for data that cannot form a
    profile.
    """
    _check_name(name)
    inspection = inspect(inputs)
    labelled, task = inspection.sets["labelled"].coco, inspection.task
    machine = GPU if best_device().type == "cuda" else CPU
    hardware = replace(machine, backbone=wishes.backbone or machine.backbone)
    choices = choose(measure(labelled, task), hardware, task, wishes.iterations)
    data = section(inputs, inspection, wishes.per_video)
    if data["watched"] != data["root"]:
        again = f"dvc repro -fs {PIPELINES / name / STAGES}:data"
        inspection.notes.append(f"DVC watches only {data['watched']}; after other changes: {again}")
    mirrored = "; views.flip: each also mirrored" if wishes.flip else ""
    turned = "; views.quarter_turns: and turned by 90, 180 and 270 degrees, four times as many"
    lines = [
        *describe(inspection),
        f"every row's backbone: {hardware.backbone}, for {'a GPU' if machine is GPU else 'a CPU'}",
        f"views.plain_short_side: {choices.side}; {choices.why_side}",
        f"views.short_sides: {', '.join(map(str, choices.views))}{mirrored}"
        f"{turned if wishes.quarter_turns else ''}",
        f"supervised.labelled.iterations: {choices.iterations:,}; {choices.why_iterations}",
        f"iterations of all other rows: {choices.student_iterations:,}",
    ]
    values = {
        "profile": name,
        "task": task,
        "seed": inputs.division.seed,
        "flip": str(wishes.flip).lower(),
        "quarter_turns": str(wishes.quarter_turns).lower(),
        **choices.values(),
    }
    _write(name, own_params(values, data, choices.views, lines, wishes.rounds))
    written = f"written: {PIPELINES / name / 'params.yaml'}; edit it to choose otherwise"
    steps = [f"  datastill plan {name}", f"  dvc repro {PIPELINES / name / STAGES}"]
    return "\n".join([*lines, written, "", "next", *steps])


def _check_name(name: str) -> None:
    if not STAGES.is_file():
        raise ParamsError(f"{STAGES}: no such file; run datastill in the project's root")
    if not _NAME.fullmatch(name):
        raise ParamsError(f"{name!r}: expected a new folder's name, of letters, digits, - and _")
    if name == DEFAULT_PROFILE:
        raise ParamsError(f"{name!r} is the profile of the root; choose another name")
    if (PIPELINES / name).exists():
        raise ParamsError(f"{PIPELINES / name} exists; choose another name or remove it")


def _write(name: str, text: str) -> None:
    """Write the profile's folder under a temporary name and rename it once it is valid."""
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
