"""A profile with every row once per seed, to measure the variance between seeds."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from datastill.errors import ParamsError
from datastill.project.data_schema import original_set
from datastill.project.loading import load_params, read_yaml
from datastill.project.template import plain_yaml


def with_seeds(path: Path, seeds: Sequence[int], name: str) -> str:
    """Return the params of the profile at `path` as profile `name`, with every row once per seed.

    A row of seed 1 has teachers of seed 1 and, if the sets are drawn, sets drawn from seed 1
    (except `val`), so the variance includes that of the data. Raises ParamsError if `path` is
    wrong, a seed is negative or repeated, or two rows already differ only in their seed.
    """
    params = load_params(path)
    if len(set(seeds)) < len(seeds) or min(seeds, default=-1) < 0:
        raise ParamsError(f"--seeds: expected different numbers from 0 on, found {[*seeds]}")
    raw = read_yaml(path)
    _refuse_several(path, raw)
    raw |= {"profile": name, "root": "../..", "params_file": f"pipelines/{name}/params.yaml"}
    redrawn = _redraw(raw["data"], seeds)
    for section in ("supervised", "ensembles", "distilled"):
        raw[section] = {
            f"{row}_seed-{seed}": _seeded(spec, section, seed, redrawn)
            for row, spec in raw[section].items()
            for seed in seeds
        }
    tested = raw["evaluate"]["with_views"]
    raw["evaluate"]["with_views"] = [f"{row}_seed-{seed}" for row in tested for seed in seeds]
    command = f"datastill run {params.profile} --seeds {','.join(map(str, seeds))}"
    return f"# Made by `{command}`: its rows with each of these seeds.\n{plain_yaml(raw)}"


def _redraw(data: dict[str, Any], seeds: Sequence[int]) -> set[int]:
    """Add the sets of each seed to drawn `data`; return the seeds that have sets of their own."""
    redrawn = {seed for seed in seeds if data["source"] == "drawn" and seed != data["seed"]}
    original = dict(data["sets"])
    for seed in sorted(redrawn):
        data["sets"] |= {
            f"{name}_seed-{seed}": {"union": [f"{part}_seed-{seed}" for part in spec["union"]]}
            if "union" in spec
            else {"redraws": name, "seed": seed}
            for name, spec in original.items()
        }
    return redrawn


def _seeded(
    spec: Mapping[str, Any], section: str, seed: int, redrawn: Collection[int]
) -> dict[str, Any]:
    if section == "ensembles":
        return {part: f"{row}_seed-{seed}" for part, row in spec.items()}
    keys = ("teacher", "labelled", "unlabelled") if seed in redrawn else ("teacher",)
    return {**spec, "seed": seed} | {k: f"{spec[k]}_seed-{seed}" for k in keys if k in spec}


def _refuse_several(path: Path, raw: Mapping[str, Any]) -> None:
    first: dict[str, str] = {}
    for row, spec in {**raw["supervised"], **raw["distilled"]}.items():
        sets = {key: spec[key] for key in ("labelled", "unlabelled") if key in spec}
        sets = {key: original_set(raw["data"]["sets"], name) for key, name in sets.items()}
        facts = repr(sorted({**spec, **sets, "seed": None}.items()))
        if (twin := first.setdefault(facts, row)) != row:
            raise ParamsError(
                f"{path}: rows {twin} and {row} differ only in their seed; --seeds is for a "
                "profile with one row of each kind"
            )
