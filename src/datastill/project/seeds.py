"""A profile with every row once per seed: how much of a difference is chance?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datastill.errors import ParamsError
from datastill.project.loading import load_params, read_yaml
from datastill.project.template import plain_yaml

_HEAD = "# Made by `datastill run {of} --seeds {seeds}`: its rows with each of these seeds.\n"


def with_seeds(path: Path, seeds: Sequence[int], name: str) -> str:
    """Return the params of profile `path` as profile `name`, with every row for each of `seeds`.

    A row with seed 1 has teachers with seed 1. Raises ParamsError where `path` is wrong, a seed is
    negative or comes twice, or two rows differ in their seed alone already.
    """
    params = load_params(path)
    if len(set(seeds)) < len(seeds) or min(seeds, default=-1) < 0:
        raise ParamsError(f"--seeds: expected different numbers from 0 on, found {[*seeds]}")
    raw = read_yaml(path)
    _refuse_several(path, raw)
    rows = [*raw["supervised"], *raw["ensembles"], *raw["distilled"]]
    names = {seed: {row: f"{row}_seed-{seed}" for row in rows} for seed in seeds}
    raw |= {"profile": name, "root": "../..", "params_file": f"pipelines/{name}/params.yaml"}
    for section in ("supervised", "ensembles", "distilled"):
        raw[section] = {
            named[row]: _seeded(spec, section, seed, named)
            for row, spec in raw[section].items()
            for seed, named in names.items()
        }
    asked = raw["evaluate"]["with_views"]
    raw["evaluate"]["with_views"] = [named[row] for row in asked for named in names.values()]
    told = ",".join(map(str, seeds))
    return _HEAD.format(of=params.profile, seeds=told) + plain_yaml(raw)


def _seeded(
    spec: Mapping[str, Any], section: str, seed: int, named: Mapping[str, str]
) -> dict[str, Any]:
    if section == "ensembles":
        return {part: named[member] for part, member in spec.items()}
    seeded = {**spec, "seed": seed}
    return seeded | {"teacher": named[spec["teacher"]]} if "teacher" in spec else seeded


def _refuse_several(path: Path, raw: Mapping[str, Any]) -> None:
    seen: dict[str, str] = {}
    for row, spec in {**raw["supervised"], **raw["distilled"]}.items():
        facts = repr(sorted((key, value) for key, value in spec.items() if key != "seed"))
        if facts in seen:
            raise ParamsError(
                f"{path}: rows {seen[facts]} and {row} differ in their seed alone; --seeds is for "
                "a profile with one row of each kind"
            )
        seen[facts] = row
