"""The rows that each line of a table averages."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from datastill.errors import DataError
from datastill.lineage.chain import Chain, Node
from datastill.lineage.dvc_lock import Stage

KEYS = ("labelled", "unlabelled", "backbone", "iterations")  # shared by the rows of a line
VALUES = ("ap", "ap_low", "ap_high", "ap_sd", "ap50", "ap75", "ap_medium", "ap_large")
GAINS = {"gain": "supervised", "control_gain": "control"}  # column: role of the line it is over
OVER = {"gain": "over", "control_gain": "control"}  # column: that of the row it is over
ROUNDING = 0.005 + 1e-9  # a table has two decimals

Record = Mapping[str, str]  # a line of a table by column


@dataclass(frozen=True)
class Entry:
    """One value of a table, from the most informative of the `lines` that repeat it.

    seeds  the number of rows that the line averages; `rows` are those in params.yaml
    over   the rows that each gain is over
    """

    name: str
    line: Record
    lines: Sequence[Record]
    seeds: int
    rows: Sequence[str]
    over: Mapping[str, Sequence[str]]


def traced(chain: Chain, tables: Stage, path: Path, name: str) -> list[Node]:
    """Return the chain of every value in the table `path` that `name` selects: all, if "".

    A line is named after its sets, co-35 or co-35_co-80; words such as `control`, `1a` or an
    iteration count distinguish lines of a name: co-35/control. The name of a row is accepted too.
    Raises DataError if `name` selects nothing, or lines of more than one training run.
    """
    lines = _read(path)
    named = "row" in lines[0]
    entries = _with_rows(lines, path, name) if named else _with_sets(chain, lines, path, name)
    return [_value(chain, tables, path, entry) for entry in entries] or [chain.result(name)]


def _read(path: Path) -> list[Record]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines: list[Record] = list(csv.DictReader(file))
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: expected a table of results, found other text: {error}") from None
    needed, present = (*KEYS, "role", "table", "ap"), lines[0] if lines else {}
    if missing := ", ".join(column for column in needed if column not in present):
        raise DataError(f"{path}: expected a table of results, found no column {missing}")
    return lines


def _with_rows(lines: list[Record], path: Path, name: str) -> list[Entry]:
    """Return the entries of a table that names its rows: of each its first line."""
    ours = [line for line in reversed(lines) if line["role"] != "paper"]
    first = {row: line for line in ours for row in _rows_in(line)}
    if name and name not in first:
        raise DataError(f"{path}: no row {name!r}; there are {', '.join(sorted(first))}")
    entries = []
    for line in [first[name]] if name else {line["row"]: line for line in ours}.values():
        rows, over = _rows_in(line), {gain: [line.get(column, "")] for gain, column in OVER.items()}
        entries.append(Entry(line["row"], line, [line], len(rows), rows, over))
    return entries


def _rows_in(line: Record) -> list[str]:
    return (line.get("rows") or line["row"]).split()


def _with_sets(chain: Chain, lines: list[Record], path: Path, name: str) -> list[Entry]:
    """Return the entries of a table that names sets, [] if `name` is a row that a line averages."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for line in lines:
        groups.setdefault(tuple(line[key] for key in KEYS), []).append(line)
    wanted = [group for group in groups.values() if any(_is_named(name, line) for line in group)]
    if name and len(wanted) > 1:
        names = ", ".join(f"{_sets(group[0])}/{group[0]['iterations']}" for group in wanted)
        raise DataError(f"{path}: {name} names {len(wanted)} training runs; say which of {names}")
    ours = [line for line in lines if line["role"] != "paper"]
    if not wanted and not any(name in _averaged(chain, line) for line in ours):
        known = ", ".join(dict.fromkeys(map(_sets, lines)))
        raise DataError(f"{path}: no line {name!r}; there are {known}")
    return [_of_group(chain, group, lines) for group in wanted]


def _of_group(chain: Chain, group: list[Record], lines: list[Record]) -> Entry:
    main = next((line for line in group if line["gain"]), group[0])
    over = {}
    for gain, role in GAINS.items():
        bases = [ln for ln in lines if (ln["table"], ln["role"]) == (main["table"], role)]
        over[gain] = [row for base in bases for row in _averaged(chain, base)]
    return Entry(_sets(main), main, group, int(main["seeds"]), _averaged(chain, main), over)


def _sets(line: Record) -> str:
    return "_".join(filter(None, (line["labelled"], line["unlabelled"])))


def _is_named(name: str, line: Record) -> bool:
    first, *words = name.split("/")
    has = {line[key] for key in ("table", "role", "backbone", "iterations")}
    return not name or (first == _sets(line) and has.issuperset(words))


def _averaged(chain: Chain, line: Record) -> list[str]:
    from datastill.report.grouping import averaged  # pandas: a second

    return averaged(line, chain.rows, chain.original)


def _value(chain: Chain, tables: Stage, path: Path, entry: Entry) -> Node:
    line, results = entry.line, {row: chain.result(row) for row in entry.rows}
    _check(chain, path, entry, [result.facts["ap"] for result in results.values()])
    facts: dict[str, Any] = {"lines": [f"{each['table']} {each['role']}" for each in entry.lines]}
    facts |= {"iterations": int(line["iterations"]), "seeds": entry.seeds}
    facts |= {name: float(line[name]) for name in VALUES if line.get(name)}
    for gain in GAINS:
        if line.get(gain):
            facts |= {gain: float(line[gain]), f"{gain}_over": list(entry.over[gain])}
    if line.get("ablation"):
        facts["ablation"] = line["ablation"]
    files = (tables.writes[path.as_posix()], *chain.read_by(tables))
    return Node("value", entry.name, facts, files, chain.code_of(tables), results)


def _check(chain: Chain, path: Path, entry: Entry, measured: list[float]) -> None:
    """Add a break if the rows found are not those that the line averages."""
    name, seeds, ap = f"{path}: {entry.line['table']} {entry.name}", entry.seeds, entry.line["ap"]
    if (count := len(measured)) != seeds:
        reason = f"averages {seeds} rows, {count} have these sets and iterations"
        chain.breaks.append(f"{name}: {reason}")
    elif abs(fmean(measured) - float(ap)) > ROUNDING:
        aps = ", ".join(f"{value:g}" for value in measured)
        chain.breaks.append(f"{name}: says AP {ap}, its rows have {aps}")
