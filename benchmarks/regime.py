"""One candidate regime of the miniature, on images drawn for this purpose alone.

    uv run python benchmarks/regime.py NAME DRAW [KEY=VALUE ...] [--rows ROW,ROW]

trains and tests the rows of the miniature with each of the params KEY (dotted) set to VALUE (YAML),
on sets drawn from seed DRAW, and appends a line per row to results/regime/sweep.csv. `co-115-twice`
trains twice as long as the others, `*-truth` on the true labels of both sets. What is not a param,
such as the share of positive RoIs in model/backbones.py, is edited by hand and named by NAME.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from datastill.project.profile import Profile, open_profile
from datastill.project.provenance import code_version
from datastill.project.template import plain_yaml
from datastill.stages import annotate, data, evaluate, train

RESULTS = Path("results/regime/sweep.csv")
MORE = {  # rows that the miniature lacks: their labelled set, its parts and how long they train
    "co-115-twice": ("co-115", ["co-35", "co-80"], 2),
    "co-115_un-120-truth": ("with-un-120", ["co-35", "co-80", "un-120"], 1),
    "co-115_s1m-180-truth": ("with-s1m-180", ["co-35", "co-80", "s1m-180"], 1),
}


def main() -> None:
    """Run one candidate and record it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("draw", type=int)
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--rows", default="", help="only these")
    options = parser.parse_args()
    profile = open_profile(write_profile(options))
    data.run(profile)
    RESULTS.parent.mkdir(exist_ok=True)
    for line in measure(profile):
        facts = {"code": code_version(), "regime": options.name, "draw": options.draw, **line}
        print(facts, flush=True)
        table = pd.DataFrame([facts])
        table.to_csv(RESULTS, mode="a", index=False, header=not RESULTS.is_file())


def measure(profile: Profile) -> Iterator[dict[str, Any]]:
    """Train and test every row; yield its AP and the precision and recall of its annotations."""
    for row in profile.params.rows():
        quality: dict[str, Any] = {}
        if row in profile.params.distilled:
            annotate.run(profile, row)
            quality = json.loads(profile.annotation_card(row).read_text())["quality"]
        train.run(profile, row)
        evaluate.run(profile, row)
        ap = json.loads(profile.metrics(row).read_text())["ap"]
        shown = {key: quality.get(key) for key in ("precision50", "recall50", "precision75")}
        yield {"row": row, "ap": ap, **shown}


def write_profile(options: argparse.Namespace) -> str:
    """Write the candidate's params.yaml and return the name of its profile."""
    name = f"regime-{options.name}-{options.draw}"
    path = Path("pipelines", name, "params.yaml")
    params = yaml.safe_load(Path("params.yaml").read_text())
    params |= {"profile": name, "root": "../..", "params_file": path.as_posix()}
    params["data"]["seed"] = options.draw
    template = params["supervised"]["co-115"]
    for row, (labelled, parts, times) in MORE.items():
        params["data"]["sets"][labelled] = {"union": parts}
        length = times * template["iterations"]
        params["supervised"][row] = {**template, "labelled": labelled, "iterations": length}
    for section in ("supervised", "distilled"):
        rows = params[section]
        wanted = options.rows.split(",") if options.rows else rows
        params[section] = {r: {**rows[r], "seed": options.draw} for r in rows if r in wanted}
    for change in options.changes:
        key, value = change.split("=", 1)
        *sections, last = key.split(".")
        section = params
        for part in sections:
            section = section.get(part, {})
        if last not in section:
            raise SystemExit(f"{key}: no such param in params.yaml")
        section[last] = yaml.safe_load(value)
    path.parent.mkdir(exist_ok=True)
    path.write_text(plain_yaml(params))
    return name


if __name__ == "__main__":
    main()
