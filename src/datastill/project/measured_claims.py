"""Claims with the numbers of the tables, and the metrics of their rows, that they rest on."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from datastill.errors import DataError
from datastill.project.claims_schema import CellSpec, Claims, ClaimSpec
from datastill.project.loading import read_yaml, validated
from datastill.project.profile import Profile, open_profile
from datastill.project.records import read_facts
from datastill.report.claim_text import summary
from datastill.report.claims import Cell, Claim, Line, check_seeds, read_cell, select
from datastill.report.grouping import averaged

CLAIMS = Path("results/claims.yaml")


def claim_specs() -> dict[str, ClaimSpec]:
    """Return the claims by name, {} if there are none; raises ParamsError for wrong keys."""
    return validated(CLAIMS, Claims, read_yaml(CLAIMS)).root if CLAIMS.is_file() else {}


def measured(name: str, spec: ClaimSpec) -> Claim:
    """Return a claim with its cells and, for an order by seed, the AP of every seed.

    Raises DataError, naming the claim, if a table does not have exactly one such cell or
    contradicts itself or the metrics of its rows, or if the rule or the sentence does not fit them.
    """
    try:
        if spec.by_seed and spec.rule != "order":
            raise DataError(f"by_seed: only 'order' is judged in each seed, not {spec.rule!r}")
        read = [*_read(spec.cells)]
        cells, quoted = ({n: cell for n, _, cell in each} for each in (read, _read(spec.quoted)))
        seeds = _by_seed(read) if spec.by_seed else {}
        claim = Claim(
            name, spec.says, spec.rule, str(spec.paper), cells, quoted, seeds, spec.readme
        )
        check_seeds(claim)
        summary(claim, CLAIMS.parent)  # refuses what does not fit the cells
    except DataError as error:
        raise DataError(f"{CLAIMS}: claim {name}: {error}") from None
    return claim


def _read(specs: Mapping[str, CellSpec]) -> Iterator[tuple[str, Line, Cell]]:
    for name, spec in specs.items():
        try:
            line = select(_lines(Path(spec.table)), spec.where)
            yield name, line, read_cell(spec.table, line, spec.column)
        except DataError as error:
            raise DataError(f"cell {name}: {spec.table}: {error}") from None


def _lines(table: Path) -> list[Line]:
    try:
        with table.open(newline="", encoding="utf-8") as file:
            lines: list[Line] = list(csv.DictReader(file))
    except FileNotFoundError:
        command = f"datastill tables {table.stem} --profile {table.parent.name}"
        raise DataError(f"no such file; `{command}` writes it") from None
    if not lines:
        raise DataError("expected a line for every result, found none")
    return lines


def _by_seed(read: Sequence[tuple[str, Line, Cell]]) -> dict[int, list[float]]:
    """Return the values of the cells by seed."""
    values = [_seeds(line, cell) for _, line, cell in read]
    if differing := [seeds for seeds in values if seeds.keys() != values[0].keys()]:
        both = " and ".join(str(sorted(seeds)) for seeds in (values[0], differing[0]))
        raise DataError(f"by_seed: expected the same seeds for every cell, found {both}")
    return {seed: [seeds[seed] for seeds in values] for seed in sorted(values[0])}


def _seeds(line: Line, cell: Cell) -> dict[int, float]:
    """Return the metric of a cell by seed of the rows that its line averages."""
    profile = open_profile(Path(cell.table).parent.name)
    rows = line["rows"].split() if "rows" in line else _rows(profile, line)
    several = line.get("test_views", "1") != "1"
    seeds: dict[int, float] = {}
    for row in rows:
        facts = read_facts(profile.require(profile.metrics(row), "evaluate", row))
        value = (facts.get("with_views", {}) if several else facts).get(cell.column)
        if not isinstance(value, int | float):
            raise DataError(f"{profile.metrics(row)}: expected {cell.column}, found {value!r}")
        seeds[profile.params.row(row).seed] = float(value)
    if len(seeds) != int(line["seeds"]):
        listed = ", ".join(rows) or "none"
        raise DataError(f"by_seed: expected rows of {line['seeds']} seeds, found {listed}")
    return seeds


def _rows(profile: Profile, line: Line) -> list[str]:
    """Return the rows that a line averages which does not name them."""
    rows = profile.params.rows().items()
    specs = {name: row.model_dump(exclude_none=True) for name, row in rows}
    return averaged(line, specs, profile.params.original_set)
