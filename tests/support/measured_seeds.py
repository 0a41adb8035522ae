"""The miniature with results of one seed, beside a profile with the results of three."""

import json
import shutil
from pathlib import Path

import pytest
from places import ROOT

from datastill.commands import accept
from datastill.project.profile import open_profile

SEEDS = ROOT / "results/seeds/metrics"
ROWS = ("co-35", "co-115", "co-35_co-80", "co-115_un-120", "co-115_s1m-180")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """The miniature with the results of seed 0, beside the results of all seeds."""
    for name in ("results/seeds", "results/ablations", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    put(seed=0)
    return tmp_path


def expected():
    return Path("results/miniature/expected.yaml")


def put(seed):
    folder = Path("results/miniature/metrics")
    folder.mkdir(parents=True, exist_ok=True)
    for row in ROWS:
        shutil.copy(SEEDS / f"{row}_seed-{seed}.json", folder / f"{row}.json")


def change(row, **values):
    path = Path(f"results/miniature/metrics/{row}.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def accepted():
    return accept.run(open_profile("miniature"), "seeds")


def claim(*orders):
    lines = ["values: {}", "orders: # a person's", *(f"  - {order}" for order in orders)]
    expected().write_text("\n".join(lines) + "\n")
