"""A profile with every row once per seed, to measure the variance between seeds."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from datastill.errors import ParamsError
from datastill.project.data_schema import original_set
from datastill.project.loading import load_params, read_yaml
from datastill.project.section import MAX_SEED
from datastill.project.template import plain_yaml

_SETS = ("labelled", "unlabelled")


def with_seeds(path: Path, seeds: Sequence[int], name: str) -> str:
    """Return the params of the profile at `path` as profile `name`, with every row once per seed.

    A row of seed 1 has teachers of seed 1 and sets drawn from seed 1 (drawings, random parts of
    files and video frames, except `val`), so the variance includes that of the data. Raises
    ParamsError if `path` is wrong, a seed is negative, too large or repeated, or two rows already
    differ only in their seed.
    """
    params = load_params(path)
    if len(set(seeds)) < len(seeds) or not seeds or min(seeds) < 0 or max(seeds) > MAX_SEED:
        expected = f"different numbers from 0 to {MAX_SEED}"
        raise ParamsError(f"--seeds: expected {expected}, found {[*seeds]}")
    raw = read_yaml(path)
    _refuse_several(path, raw)
    raw |= {"profile": name, "root": "../..", "params_file": f"pipelines/{name}/params.yaml"}
    redrawn, ready = _redraw(raw["data"], seeds), params.teachers.names()
    for section in ("supervised", "ensembles", "distilled"):
        raw[section] = {
            f"{row}_seed-{seed}": _seeded(spec, section, seed, redrawn, ready)
            for row, spec in raw[section].items()
            for seed in seeds
        }
    tested = raw["evaluate"]["with_views"]
    raw["evaluate"]["with_views"] = [f"{row}_seed-{seed}" for row in tested for seed in seeds]
    command = f"datastill run {params.profile} --seeds {','.join(map(str, seeds))}"
    made, text = f"# Made by `{command}`: its rows with each of these seeds.", plain_yaml(raw)
    edited = f"# That replaces this file unless it is edited; sha256 of the rest: {_digest(text)}"
    return f"{made}\n{edited}\n{text}"


def is_unedited(text: str) -> bool:
    """Return whether `text` is as `with_seeds` wrote it."""
    lines = text.split("\n", 2)
    return len(lines) == 3 and lines[1].endswith(_digest(lines[2]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _redraw(data: dict[str, Any], seeds: Sequence[int]) -> dict[int, set[str]]:
    """Add the sets of each seed to `data`; return the names of those that each seed redraws."""
    original = dict(data["sets"])
    redrawn: dict[int, set[str]] = {}
    for seed in seeds:
        chosen = {name for name, spec in original.items() if _seed(data, spec) not in (None, seed)}
        united = {name for name, spec in original.items() if chosen & {*spec.get("union", ())}}
        redrawn[seed] = chosen | united
        data["sets"] |= {
            f"{name}_seed-{seed}": {"redraws": name, "seed": seed}
            if name in chosen
            else {"union": [_of_seed(part, seed, chosen) for part in spec["union"]]}
            for name, spec in original.items()
            if name in redrawn[seed]
        }
    return redrawn


def _seed(data: Mapping[str, Any], spec: Mapping[str, Any]) -> int | None:
    """Return the seed that chose the images of a set, None if no other seed may choose others.

    A part of val's own file without a block would take images of val.
    """
    if "style" in spec:
        return int(data["seed"])
    part = spec.get("part", spec)
    beside_val = "part" in spec and spec["annotations"] == data["val"].get("annotations")
    if beside_val and not part.get("block"):
        return None
    seed = part.get("seed")
    return None if seed is None or "redraws" in spec else int(seed)


def _of_seed(name: str, seed: int, redrawn: Collection[str]) -> str:
    return f"{name}_seed-{seed}" if name in redrawn else name


def _seeded(
    spec: Mapping[str, Any],
    section: str,
    seed: int,
    redrawn: Mapping[int, Collection[str]],
    ready: Collection[str],
) -> dict[str, Any]:
    if section == "ensembles":
        return {part: f"{row}_seed-{seed}" for part, row in spec.items()}
    sets = {k: _of_seed(spec[k], seed, redrawn[seed]) for k in _SETS if k in spec}
    trained = spec.get("teacher") not in (None, *ready)
    teacher = {"teacher": f"{spec['teacher']}_seed-{seed}"} if trained else {}
    return {**spec, **sets, **teacher, "seed": seed}


def _refuse_several(path: Path, raw: Mapping[str, Any]) -> None:
    first: dict[str, str] = {}
    for row, spec in {**raw["supervised"], **raw["distilled"]}.items():
        sets = {key: spec[key] for key in _SETS if key in spec}
        sets = {key: original_set(raw["data"]["sets"], name) for key, name in sets.items()}
        facts = repr(sorted({**spec, **sets, "seed": None}.items()))
        if (twin := first.setdefault(facts, row)) != row:
            raise ParamsError(
                f"{path}: rows {twin} and {row} differ only in their seed; --seeds is for a "
                "profile with one row of each kind"
            )
