"""DVC runs a stage again after an edit that can change its numbers, and after no other."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from places import ROOT
from source_graph import FILES, PACKAGE, has_code, own_imports, top

from datastill.project.profile import open_profile
from datastill.project.schema import Params
from datastill.stages import annotate, data, evaluate, tables, train

# What a number does not depend on: messages, the command line, MLflow, lineage, reading of params.
WITHOUT_NUMBERS = {"errors", "progress", "cli", "tracking", "lineage", "project"}
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
WATCHED = yaml.safe_load((ROOT / "params.yaml").read_text())["data"]["watched"]
NOT_IN_A_NUMBER = {"profile", "root", "params_file", "machine", "tracking"}
ROWS = {"supervised", "distilled", "ensembles"}


def definition(stage: str) -> dict:
    return STAGES[stage].get("do", STAGES[stage])


def module(stage: str) -> Path:
    """The module of a stage: its command's second word."""
    return PACKAGE / "stages" / f"{definition(stage)['cmd'].split()[1]}.py"


def reached(start: Path) -> set[Path]:
    """All files with code that `start` imports, directly or not, but for WITHOUT_NUMBERS."""
    seen, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path not in seen and top(path) not in WITHOUT_NUMBERS:
            seen.add(path)
            waiting += own_imports(path)
    return {path for path in seen if has_code(path)}


def as_dependencies(files: set[Path]) -> set[str]:
    """`files`, or instead of some the highest folder whose code is all among them."""
    left, named = set(files), set[Path]()
    for folder in sorted({parent for file in files for parent in file.parents}):
        inside = {file for file in FILES if folder in file.parents and has_code(file)}
        if PACKAGE in folder.parents and inside & left and inside <= files:
            named.add(folder)
            left -= inside
    paths = {path.relative_to(ROOT) for path in named | left}
    return {
        "${data.watched}" if path.is_relative_to(WATCHED) else path.as_posix() for path in paths
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_name_in_params_is_one_word_to_the_shell_and_nothing_that_it_runs(stage):
    command = definition(stage)["cmd"]
    assert "${" in command
    assert "${" not in re.sub(r" '\$\{\w+\}'(?= |$)", "", command)


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_a_stage_depends_on_is_the_code_that_it_imports(stage):
    listed = {d for d in definition(stage)["deps"] if d.startswith(("src/", "${data.watched}"))}
    assert listed == (set() if stage == "report" else as_dependencies(reached(module(stage))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "run"),
    [
        ("data", data.run),
        ("supervised", lambda profile: train.run(profile, "co-35")),
        ("annotate", lambda profile: annotate.run(profile, "co-35_co-80")),
        ("distilled", lambda profile: train.run(profile, "co-35_co-80")),
        ("evaluate-distilled", lambda profile: evaluate.run(profile, "co-35_co-80")),
        ("tables", tables.run),
    ],
)
def test_the_params_that_a_stage_reads_are_among_its_params(stage, run, copy, monkeypatch):
    sections: set[str] = set()

    def record(self: Params, name: str) -> object:
        sections.update({name} & Params.model_fields.keys())
        return super(Params, self).__getattribute__(name)

    monkeypatch.chdir(copy.root)
    profile = open_profile("miniature")
    monkeypatch.setattr(Params, "__getattribute__", record)
    run(profile)
    (listed,) = (params["${params_file}"] for params in definition(stage)["params"])
    known = {name.partition(".")[0] for name in listed} | NOT_IN_A_NUMBER
    assert sections - known <= ({"tables"} if stage == "tables" else ROWS)


EDITS = {
    "sources/download.py": (set(), {"data", "supervised", "annotate", "distilled", "evaluate"}),
    "commands/plan.py": (set(), {"data", "supervised", "annotate", "distilled", "evaluate"}),
    "cli/application.py": (set(), {"data", "supervised", "annotate", "distilled", "evaluate"}),
    "report/render.py": ({"tables"}, {"data", "supervised", "annotate", "distilled", "evaluate"}),
    "distill/thresholds.py": ({"annotate"}, {"data", "supervised", "evaluate"}),
    "inference/heatmaps.py": ({"annotate", "evaluate"}, {"data", "supervised", "distilled"}),
    "training/loop.py": ({"supervised", "distilled"}, {"data", "annotate", "evaluate"}),
    "model/detector.py": ({"supervised", "distilled"}, {"data"}),
    "stages/evaluate.py": ({"evaluate"}, {"data", "supervised", "annotate", "distilled"}),
    "evaluation/coco_ap.py": ({"evaluate", "tables"}, {"data", "supervised", "distilled"}),
    "synthetic/drawing/poses.py": ({"data"}, {"supervised", "annotate", "distilled", "evaluate"}),
}


@pytest.fixture(scope="module")
def edited(reproduced, tmp_path_factory):
    """A reproduced project whose source tests may edit."""
    return shutil.copytree(
        reproduced.root, tmp_path_factory.mktemp("edited") / "copy", symlinks=True
    )


@pytest.mark.slow
@pytest.mark.xdist_group("reproduced")
@pytest.mark.parametrize("name", EDITS)
def test_after_an_edit_dvc_runs_what_it_can_change(name, edited):
    must, must_not = EDITS[name]
    path = edited / "src" / "datastill" / name
    before = path.read_text()
    path.write_text(f"{before}# edited\n")
    try:
        stages = {address.rpartition(":")[2] for address in Repo(edited).status()}
    finally:
        path.write_text(before)
    changed = {re.split("[@-]", stage)[0] for stage in stages}
    assert must <= changed
    assert not must_not & changed
