"""One candidate regime of the miniature, on images drawn for this purpose alone.

    uv run python benchmarks/regime.py NAME DRAW KEY=VALUE ...

trains and tests all rows of the miniature with params changed to each KEY=VALUE (dotted keys, YAML
values), on sets drawn with seed DRAW, and appends a line per row to results/regime/sweep.csv. All
rows train for the same number of iterations. `*-twice` trains twice as long, `*-truth` on the true
labels of both sets; --rows names those to train instead of all.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pandas as pd
import yaml

from datastill.project.profile import open_profile
from datastill.project.template import plain_yaml
from datastill.stages import annotate, data, evaluate, train

RESULTS = Path("results/regime/sweep.csv")
TWICE, TRUTH = "-twice", "-truth"
SETS = {"co-115-twice": "co-115", "co-115_un-120-truth": "b", "co-115_s1m-180-truth": "c"}


def main() -> None:
    """Run one candidate and record it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("draw", type=int)
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--rows", default="")
    parser.add_argument("--length", type=int, default=360_000)
    options = parser.parse_args()
    profile = open_profile(write_profile(options))
    data.run(profile)
    lines = []
    for row in profile.params.rows():
        began = time.monotonic()
        if row in profile.params.distilled:
            annotate.run(profile, row)
        train.run(profile, row)
        trained = time.monotonic() - began
        evaluate.run(profile, row)
        metrics = json.loads(profile.metrics(row).read_text())
        quality = {}
        if profile.annotation_card(row).is_file():
            quality = json.loads(profile.annotation_card(row).read_text())["quality"]
        lines.append(
            {
                "regime": options.name, "draw": options.draw, "row": row, "ap": metrics["ap"],
                **{k: quality.get(k) for k in ("precision50", "recall50", "precision75")},
                "seconds": round(trained, 1), "changes": " ".join(options.changes),
            }
        )  # fmt: skip
        print(lines[-1], flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    pd.DataFrame(lines).to_csv(
        RESULTS, mode="a", index=False, header=not RESULTS.is_file(), float_format="%.3f"
    )


def write_profile(options: argparse.Namespace) -> str:
    """Write the candidate's params.yaml and return its name."""
    name = f"regime-{options.name}-{options.draw}"
    params = yaml.safe_load(Path("params.yaml").read_text())
    path = Path("pipelines", name, "params.yaml")
    params |= {"profile": name, "root": "../..", "params_file": path.as_posix()}
    params["data"]["seed"] = options.draw
    parts = params["data"]["sets"]["co-115"]["union"]
    params["data"]["sets"] |= {"b": {"union": [*parts, "un-120"]}}
    params["data"]["sets"] |= {"c": {"union": [*parts, "s1m-180"]}}
    backbone = params["supervised"]["co-115"]["backbone"]
    for row, labelled in SETS.items():
        params["supervised"][row] = {"labelled": labelled, "backbone": backbone}
    for section in ("supervised", "distilled"):
        for row, spec in params[section].items():
            length = options.length * (2 if row.endswith(TWICE) else 1)
            spec |= {"iterations": length, "seed": options.draw}
        if options.rows:
            kept = options.rows.split(",")
            params[section] = {r: s for r, s in params[section].items() if r in kept}
    tested = params["evaluate"]["with_views"]
    params["evaluate"]["with_views"] = [row for row in tested if row in params["supervised"]]
    for change in options.changes:
        key, value = change.split("=", 1)
        *sections, last = key.split(".")
        section = params
        for part in sections:
            section = section[part]
        if last not in section:
            raise SystemExit(f"{key}: no such param")
        section[last] = yaml.safe_load(value)
    path.parent.mkdir(exist_ok=True)
    path.write_text(plain_yaml(params))
    return name


if __name__ == "__main__":
    main()
