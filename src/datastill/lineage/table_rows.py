"""From a line of a table to the rows that it was made of."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from datastill.errors import DataError
from datastill.lineage.chain import Chain, Node
from datastill.lineage.dvc_lock import File, Stage
from datastill.report.grouping import TrainedRow, group_by_seed

KEYS = ("labelled", "unlabelled", "backbone", "iterations")  # what a line's rows have in common
TOLD = ("ap", "ap_low", "ap_high", "ap_sd", "ap50", "ap75", "ap_medium", "ap_large")
COMPARED = {"gain": "supervised", "control_gain": "control"}
ROUNDING = 0.005 + 1e-9  # a table has two decimals

Line = Mapping[str, str]


def traced(chain: Chain, tables: Stage, path: Path, name: str) -> list[Node]:
    """Return the chain of every training in the table `path` that `name` names: all, if "".

    A line is named as its sets are, co-35 or co-35_co-80; words such as `control`, `1a` or an
    iteration count tell lines of one name apart: co-35/control. The name of a row is taken too.
    Raises DataError where nothing, or more than one training, has that name.
    """
    lines = _read(path)
    if "row" in lines[0]:
        return [_of_row(chain, tables, path, line) for line in _named(lines, path, name)]
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault(tuple(line[key] for key in KEYS), []).append(line)
    wanted = [group for group in groups.values() if any(_is_named(name, line) for line in group)]
    if name and len(wanted) > 1:
        told = ", ".join(f"{_name(group[0])}/{group[0]['iterations']}" for group in wanted)
        raise DataError(f"{path}: {name} names {len(wanted)} trainings; say which of {told}")
    if name and not wanted and name in _rows(chain):
        return [chain.result(name)]
    if not wanted:
        known = ", ".join(dict.fromkeys(map(_name, lines)))
        raise DataError(f"{path}: no line {name!r}; there are {known}")
    return [_value(chain, tables, path, (group, lines)) for group in wanted]


def _read(path: Path) -> list[Line]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; `datastill tables` writes it")
    with path.open(newline="") as file:
        lines: list[Line] = list(csv.DictReader(file))
    columns = (lines or [{}])[0]
    missing = [key for key in (*KEYS, "role", "table", "ap") if key not in columns]
    if missing:
        raise DataError(
            f"{path}: expected a table of results, found no column {', '.join(missing)}"
        )
    return lines


def _named(lines: list[Line], path: Path, row: str) -> list[Line]:
    """Return the lines of a table with its rows named in it, or the first about one row."""
    ours = [line for line in reversed(lines) if line["role"] != "paper"]
    first = {row: line for line in ours for row in _rows_in(line)}
    if row and row not in first:
        raise DataError(f"{path}: no row {row!r}; there are {', '.join(sorted(first))}")
    return [first[row]] if row else list({line["row"]: line for line in ours}.values())


def _rows_in(line: Line) -> list[str]:
    return (line.get("rows") or line["row"]).split()


def _of_row(chain: Chain, tables: Stage, path: Path, line: Line) -> Node:
    results = {row: chain.result(row) for row in _rows_in(line)}
    measured = fmean(result.facts["ap"] for result in results.values())
    if abs(measured - float(line["ap"])) > ROUNDING:
        chain.note(f"{path}: {line['row']} says AP {line['ap']}, measured {measured:g}")
    facts: dict[str, Any] = {
        "lines": [f"{line['table']} {line['role']}"],
        "iterations": int(line["iterations"]),
        "seeds": len(results),
        **{name: float(line[name]) for name in TOLD if line.get(name)},
    }
    for gain, other in (("gain", "over"), ("control_gain", "control")):
        if line.get(gain):
            facts |= {gain: float(line[gain]), f"{gain}_over": [line[other]]}
    if line.get("ablation"):
        facts["ablation"] = line["ablation"]
    files, commit = _made_of(chain, tables, path)
    return Node("value", line["row"], facts, files, commit, results)


def _made_of(chain: Chain, tables: Stage, path: Path) -> tuple[tuple[File, ...], str]:
    """Return the table's file and what the stage read, and the commit that holds its code."""
    files = [tables.writes[p] for p in tables.writes if p == path.as_posix()]
    files += [tables.reads[p] for p in tables.reads if not p.startswith("src/")]
    return tuple(files), chain.commit_of(tables)


def _name(line: Line) -> str:
    return "_".join(filter(None, (line["labelled"], line["unlabelled"])))


def _is_named(name: str, line: Line) -> bool:
    first, *words = name.split("/")
    has = {line["table"], line["role"], line["backbone"], line["iterations"]}
    return not name or (first == _name(line) and has >= set(words))


def _rows(chain: Chain) -> dict[str, Any]:
    return {**chain.supervised, **chain.distilled}


def rows_of(chain: Chain, line: Line) -> list[str]:
    """Return the rows that a line averages: those of one training run, whatever their seeds."""
    rows = [TrainedRow(row=row, **spec) for row, spec in _rows(chain).items()]
    return [
        row.row
        for training, group in group_by_seed(rows, by_teacher=False).items()
        if [str(value or "") for value in training.key] == [line[key] for key in KEYS]
        and training.round == int(line.get("round") or 1)
        and not training.ablation
        for row in group
    ]


def _value(chain: Chain, tables: Stage, path: Path, where: tuple[list[Line], list[Line]]) -> Node:
    group, lines = where
    line = next((line for line in group if line["gain"]), group[0])
    results = {row: chain.result(row) for row in rows_of(chain, line)}
    _holds(chain, path, line, list(results.values()))
    facts: dict[str, Any] = {
        "lines": [f"{twin['table']} {twin['role']}" for twin in group],
        "iterations": int(line["iterations"]),
        "seeds": int(line["seeds"]),
        **{name: float(line[name]) for name in TOLD if line.get(name)},
    }
    for gain, role in COMPARED.items():
        others = [o for o in lines if (o["table"], o["role"]) == (line["table"], role)]
        if line.get(gain):
            facts[gain] = float(line[gain])
            facts[f"{gain}_over"] = [row for other in others for row in rows_of(chain, other)]
    files, commit = _made_of(chain, tables, path)
    return Node("value", _name(line), facts, files, commit, results)


def _holds(chain: Chain, path: Path, line: Line, results: list[Node]) -> None:
    """Note a break where the rows at hand are not what the line says it averages."""
    name, seeds = f"{path}: {line['table']} {_name(line)}", int(line["seeds"])
    if len(results) != seeds:
        chain.note(f"{name}: averages {seeds} rows, {len(results)} have these sets and iterations")
    elif abs(sum(r.facts["ap"] for r in results) / seeds - float(line["ap"])) > ROUNDING:
        found = ", ".join(f"{result.facts['ap']:g}" for result in results)
        chain.note(f"{name}: says AP {line['ap']}, its rows have {found}")
