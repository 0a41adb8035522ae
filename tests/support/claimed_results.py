"""Projects with claims: the committed one, and one whose numbers never change."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml
from places import ROOT

from datastill.commands import readme

CLAIMS = Path("results/claims.yaml")
COLUMNS = "table,role,labelled,unlabelled,backbone,iterations,seeds,ap,ap_low,ap_high"
GAIN = "gain,gain_low,gain_high,gain_p,gain_verdict"
TABLES = {
    "results/seeds/table1": [
        "1a,supervised,co-35,,small,130000,2,30.00,29.00,31.00,,,,,",
        "1a,distilled,co-35,co-80,small,130000,2,34.00,33.00,35.00,4.00,2.80,5.20,0.0240,gain",
    ],
    "results/boxes/table4": [
        "4a,distilled,co-35,co-80,small,900000,1,33.00,32.00,34.00,1.10,-1.00,3.30,0.2500,"
        "not distinguishable",
    ],
}
METRICS = {"co-35": (29.5, 30.5), "co-35_co-80": (33.0, 35.0)}  # by row and seed
SPECS = """
few-labels:
  says: "Unlabelled images bring {student}."
  cells:
    student: {table: results/seeds/table1.csv, where: {table: 1a, role: distilled}, column: gain}
  rule: gain
  paper: "+5.3"
  verdict: reproduced
  readme: true
order:
  says: "The order holds {seeds}."
  cells:
    few: {table: results/seeds/table1.csv, where: {role: supervised}, column: ap}
    student: {table: results/seeds/table1.csv, where: {role: distilled}, column: ap}
  rule: order
  by_seed: true
  paper: 54.9 and 60.2
  verdict: reproduced
boxes:
  says: "Boxes gain {student}."
  cells:
    student: {table: results/boxes/table4.csv, where: {iterations: 900000}, column: gain}
  rule: gain
  paper: 1.8
  verdict: inconclusive
  readme: true
"""
PAGE = "# Title\n\n{}\n\nWords.\n"
BLOCK = "<!-- generated: {} -->\n<!-- /generated -->\n"


@pytest.fixture
def committed(tmp_path, monkeypatch):
    """A copy of this project's results and pages."""
    for name in ("results", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.png"))
    for name in ("params.yaml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """A project of three claims on two profiles, with current pages."""
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    _write_seeds()
    for name, lines in TABLES.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".csv").write_text("\n".join([f"{COLUMNS},{GAIN}", *lines, ""]))
        path.with_suffix(".md").write_text(f"| {name} |\n")
    Path("results/miniature").mkdir()
    Path("results/miniature/expected.yaml").write_text("values: {}\norders: []\n")
    CLAIMS.write_text(SPECS)
    shown = [f"{name}.md" for name in TABLES]
    Path("README.md").write_text(PAGE.format("\n".join(map(BLOCK.format, [CLAIMS, *shown]))))
    Path("results/README.md").write_text(PAGE.format(BLOCK.format(CLAIMS)))
    readme.run()


def _write_seeds():
    """Write the rows of METRICS and what they reached."""
    params = Path("pipelines/seeds/params.yaml")
    raw = yaml.safe_load(params.read_text())
    raw |= {"supervised": {}, "distilled": {}}
    raw["evaluate"]["with_views"] = []
    Path("results/seeds/metrics").mkdir(parents=True)
    for name, aps in METRICS.items():
        for seed, ap in enumerate(aps):
            spec = {"labelled": "co-35", "backbone": "small", "iterations": 130000, "seed": seed}
            taught = {"unlabelled": "co-80", "teacher": f"co-35_seed-{seed}"}
            section, more = ("distilled", taught) if "_" in name else ("supervised", {})
            raw[section][f"{name}_seed-{seed}"] = spec | more
            metrics = Path(f"results/seeds/metrics/{name}_seed-{seed}.json")
            metrics.write_text(json.dumps({"ap": ap}))
    params.write_text(yaml.safe_dump(raw, sort_keys=False))


def edit_claims(change):
    """Let `change` edit the claims, by name, in place."""
    claims = yaml.safe_load(CLAIMS.read_text())
    change(claims)
    CLAIMS.write_text(yaml.safe_dump(claims, sort_keys=False, allow_unicode=True))


def edit_cell(name, cell, column, change):
    """Let `change` make another text of a column in the line of a claim's cell."""
    claim = yaml.safe_load(CLAIMS.read_text())[name]
    spec = (claim["cells"] | claim.get("quoted", {}))[cell]
    path = Path(spec["table"])
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        if all(_is(line[key], value) for key, value in spec["where"].items()):
            line[column] = change(line[column])
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def _is(text, value):
    return text == value if isinstance(value, str) else text != "" and float(text) == value
