"""What is committed under results/ and shown in the README is what the code measured."""

import csv
import re
from pathlib import Path

import pytest

from datastill.report.blocks import read_block

ROOT = Path(__file__).parent.parent
FOUND = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "results").glob("*/*.csv"))
SHOWN = [name.replace(".csv", ".md") for name in FOUND if Path(name).stem in ("table1", "table4")]


@pytest.mark.parametrize("name", SHOWN)
def test_the_readme_shows_the_table_as_it_is(name):
    shown = read_block(ROOT / "README.md", name)
    assert shown == (ROOT / name).read_text().strip(), "run `datastill tables` to renew it"


def test_the_readme_says_first_how_to_run_and_to_prove_it():
    commands = [line.strip() for line in (ROOT / "README.md").read_text().splitlines()]
    lines = [line for line in commands if line.startswith("python3 -m pip install uv")]
    assert lines == [
        "python3 -m pip install uv && uv run dvc repro",
        "python3 -m pip install uv && uv run pytest",
    ]


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("gain", ["gain", "control_gain"])
def test_an_uncertain_gain_is_called_so(name, gain):
    with (ROOT / name).open() as file:
        lines = [line for line in csv.DictReader(file) if line[gain]]
    for line in lines:
        low, high, verdict = (line.get(f"{gain}_{part}") for part in ("low", "high", "verdict"))
        if float(low) <= 0 <= float(high) and verdict is not None:
            assert verdict == "not distinguishable"
        if float(line.get(f"{gain}_p") or 1) >= 0.05 and line.get(f"{gain}_p"):
            assert verdict == "not distinguishable"


def test_the_readme_of_the_results_names_files_that_are_there():
    text = (ROOT / "results/README.md").read_text()
    names = re.findall(r"\]\(([^)]+)\)", text)
    assert names
    assert all((ROOT / "results" / name).is_file() for name in names)
