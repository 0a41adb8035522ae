"""What is committed under results/ and shown in the README is what the code measured."""

import csv
import hashlib
import json
import re
from pathlib import Path
from statistics import fmean

import pytest
import yaml
from places import ROOT

from datastill.commands import check
from datastill.project.profile import open_profile
from datastill.report.readme_blocks import read_blocks

# profiles of this project, not of its users
SUITE = ("miniature", "seeds", "views", "boxes", "ablations", "mouse-seeds", "cells-seeds")
FOUND = sorted(
    path.relative_to(ROOT).as_posix()
    for profile in SUITE
    for path in (ROOT / "results" / profile).glob("*.csv")
)
LOCKS = [path for path in [ROOT / "dvc.lock", *ROOT.glob("pipelines/*/dvc.lock")] if path.is_file()]
TABLES = {name.replace(".csv", ".md") for name in FOUND if Path(name).stem in ("table1", "table4")}


def table(name):
    with (ROOT / name).open() as file:
        return list(csv.DictReader(file))


def test_the_readme_shows_or_links_every_table_and_shows_them_as_they_are():
    blocks, page = dict(read_blocks(ROOT / "README.md")), (ROOT / "README.md").read_text()
    assert blocks.pop("results/claims.yaml")
    assert blocks.keys() <= TABLES
    assert {name for name in TABLES - blocks.keys() if f"({name})" not in page} == set()
    for name, text in blocks.items():
        assert text == (ROOT / name).read_text().strip(), "run `datastill readme` to renew it"


def test_every_verdict_follows_from_its_table_and_both_pages_say_so(monkeypatch):
    monkeypatch.chdir(ROOT)
    text, _ = check.run(open_profile("miniature"))
    lines = [line for line in text.splitlines() if " claim " in line or "block " in line]
    assert len(lines) > 10
    assert [line for line in lines if not line.startswith("ok")] == []


def test_the_readme_says_first_how_to_run_and_to_prove_it():
    commands = [line.strip() for line in (ROOT / "README.md").read_text().splitlines()]
    lines = [line for line in commands if line.startswith("python3 -m pip install uv")]
    assert lines == [
        "python3 -m pip install uv && uv run dvc repro",
        "python3 -m pip install uv && uv run pytest",
    ]


GAINS = [
    (name, gain)
    for name in FOUND
    for gain in ("gain", "control_gain")
    if any(line.get(f"{gain}_verdict") for line in table(name))
]


@pytest.mark.parametrize(("name", "gain"), GAINS)
def test_a_gain_is_called_one_where_chance_would_seldom_give_it(name, gain):
    for line in table(name):
        if line[gain]:
            told = "gain" if float(line[gain]) > 0 else "loss"
            unsure = float(line[f"{gain}_p"]) >= 0.05
            assert line[f"{gain}_verdict"] == ("not distinguishable" if unsure else told)


@pytest.mark.parametrize("profile", ["miniature", "ablations"])
def test_single_runs_borrow_the_variance_between_the_six_seeds(profile, monkeypatch):
    monkeypatch.chdir(ROOT)
    borrowed = open_profile(profile).params.between_seeds
    first = table("results/seeds/table1.csv")[0]
    for part, column in ((borrowed.ap, "seed"), (borrowed.gain, "seed_gain")):
        assert (part.sd, part.degrees) == tuple(
            float(first[f"{column}_{n}"]) for n in ("sd", "degrees")
        )


@pytest.mark.parametrize("name", [name for name in FOUND if "row" in table(name)[0]])
def test_the_ap_of_an_ablation_is_the_mean_of_its_rows(name):
    lines = [line for line in table(name) if line["role"] != "paper"]
    assert lines
    for line in lines:
        files = [(ROOT / name).parent / f"metrics/{row}.json" for row in line["rows"].split()]
        several = [json.loads(file.read_text()) for file in files]
        if int(line["test_views"]) > 1:
            several = [metrics["with_views"] for metrics in several]
        mean = fmean(metrics["ap"] for metrics in several)
        assert float(line["ap"]) == pytest.approx(mean, abs=0.0051)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_results_are_the_bytes_that_their_stages_wrote(lock):
    """So no number of a table, and no word of a page, was put there by hand."""
    stages = yaml.safe_load(lock.read_text())["stages"].values()
    written = [
        out for stage in stages for out in stage.get("outs", []) if "results/" in out["path"]
    ]
    assert written
    for out in written:
        assert md5_by_dvc(ROOT / out["path"]) == out["md5"], out["path"]


def md5_by_dvc(path):
    """Of a folder, that of DVC's list of its files."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listed = [
        {"md5": md5_by_dvc(file), "relpath": file.relative_to(path).as_posix()} for file in files
    ]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


def test_the_readme_of_the_results_names_files_that_are_there():
    text = (ROOT / "results/README.md").read_text()
    names = re.findall(r"\]\(([^)]+)\)", text)
    assert names
    assert all((ROOT / "results" / name).is_file() for name in names)
