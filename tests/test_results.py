"""What is committed under results/ and shown in the README is what the code measured."""

import csv
from pathlib import Path

import pytest

from datastill.report.blocks import read_block

ROOT = Path(__file__).parent.parent
TABLES = [p.relative_to(ROOT).as_posix() for p in sorted((ROOT / "results").glob("*/table*.md"))]


@pytest.mark.parametrize("name", TABLES)
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


@pytest.mark.parametrize("name", TABLES)
def test_an_uncertain_gain_is_called_so(name):
    with (ROOT / name).with_suffix(".csv").open() as file:
        lines = [line for line in csv.DictReader(file) if line["gain"]]
    for line in lines:
        sure = float(line["gain_low"]) > 0 or float(line["gain_high"]) < 0
        assert (line["gain_verdict"] == "not distinguishable") is not sure
