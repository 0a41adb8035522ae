"""Claims about results: cells of tables, and verdicts on them by rules."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from statistics import fmean

from datastill.errors import DataError
from datastill.report.multiple_testing import LEVEL, UNSURE
from datastill.report.render import COUNTS

LIMIT = 1.0  # AP: an interval within ± LIMIT counts as no difference
REPRODUCED, IN_PART, NOT = "reproduced", "in part", "not reproduced"
UNKNOWN = "inconclusive"
EQUAL, DIFFERENT = "equal", "different"
VERDICTS = (REPRODUCED, IN_PART, NOT, UNKNOWN, EQUAL, DIFFERENT)

Line = Mapping[str, str]  # of a table's CSV, by column


@dataclass(frozen=True)
class Cell:
    """A number of a table, with the interval and the corrected p-value that the table has of it."""

    table: str
    column: str
    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def in_pixels(self) -> bool:
        """Whether it is an error in pixels, of which less is better."""
        return self.column.startswith("rmse")

    @property
    def sign(self) -> int:
        """1 or -1 of a gain or loss, 0 if not distinguishable from none by its p-value."""
        distinguishable = self.p is not None and self.p < LEVEL
        better = -self.value if self.in_pixels else self.value
        return (better > 0) - (better < 0) if distinguishable else 0

    @property
    def equal(self) -> bool:
        """Whether the interval is within ± LIMIT."""
        if self.low is None or self.high is None or self.in_pixels:
            return False
        return self.low >= -LIMIT and self.high <= LIMIT

    def text(self, decimals: int = 1) -> str:
        """Return the value: a gain with its sign, a count without decimals."""
        if self.column in COUNTS:
            return f"{self.value:,.0f}"
        return f"{self.value:{'+' if self.column.endswith('gain') else ''}z.{decimals}f}"

    def with_interval(self, decimals: int = 1) -> str:
        """Return the value and its interval, such as +4.0 [2.8, 5.2]."""
        if self.low is None or self.high is None:
            return self.text(decimals)
        return f"{self.text(decimals)} [{self.low:z.{decimals}f}, {self.high:z.{decimals}f}]"

    def exact(self) -> str:
        """Return the value, its interval and p-value with all digits of the table."""
        p = "" if self.p is None else f", p = {self.p:.4f}"
        return self.with_interval(2) + p


@dataclass(frozen=True)
class Claim:
    """What the paper claims, in words, and the cells that decide whether the results agree.

    says    a sentence in which every number is a placeholder: {name} is a cell with its interval,
            {name.value} without; {verdict}; {seeds} of an order
    cells   what the rule judges; for an order, in the paper's order, ascending
    quoted  other cells that the sentence names
    seeds   of an order that is judged in each seed: the values of `cells` by seed
    """

    name: str
    says: str
    rule: str
    paper: str
    cells: Mapping[str, Cell]
    quoted: Mapping[str, Cell] = field(default_factory=dict)
    seeds: Mapping[int, Sequence[float]] = field(default_factory=dict)
    readme: bool = False

    @property
    def verdict(self) -> str:
        """The verdict by the numbers."""
        return RULES[self.rule](self)


def select(lines: Sequence[Line], where: Mapping[str, str | float]) -> Line:
    """Return the only line whose columns have the values of `where`; else raise DataError."""
    if unknown := [column for column in where if column not in lines[0]]:
        raise DataError(f"there is no column {', '.join(unknown)}; there are {', '.join(lines[0])}")
    chosen = [ln for ln in lines if all(_same(ln[column], v) for column, v in where.items())]
    if len(chosen) != 1:
        named = " and ".join(f"{column} {value}" for column, value in where.items())
        raise DataError(f"expected one line with {named}, found {len(chosen)}")
    return chosen[0]


def _same(cell: str, value: str | float) -> bool:
    if isinstance(value, str):
        return cell == value
    try:
        return float(cell) == value
    except ValueError:
        return False


def read_cell(table: str, line: Line, column: str) -> Cell:
    """Return the number in `column` of a table's line.

    Raises DataError if there is none, or if the line's own verdict on it contradicts its numbers.
    """
    value = _number(line, column)
    low, high = (
        _number(line, f"{column}_{end}") if line.get(f"{column}_{end}") else None
        for end in ("low", "high")
    )
    p = _number(line, f"{column}_p") if f"{column}_p" in line else None
    cell, stated = Cell(table, column, value, low, high, p), line.get(f"{column}_verdict")
    verdict = {1: "gain", -1: "loss", 0: UNSURE}[cell.sign]
    if stated is not None and stated != verdict:
        raise DataError(
            f"{column}_verdict is {stated!r}, but {cell.exact()} is {verdict!r}; "
            "the table was not written by this code, or was edited"
        )
    return cell


def _number(line: Line, column: str) -> float:
    if column not in line:
        raise DataError(f"there is no column {column}; there are {', '.join(line)}")
    try:
        value = float(line[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{column}: expected a number, found {line[column]!r}")
    return value


def _gain(claim: Claim, paper: int) -> str:
    """Return the verdict on gains that have the sign `paper` in the paper."""
    signs = [cell.sign * paper for cell in _differences(claim)]
    if -1 in signs:
        return NOT
    if 0 not in signs:
        return REPRODUCED
    return IN_PART if any(signs) else UNKNOWN


def _no_gain(claim: Claim, same: str, different: str) -> str:
    cells = _differences(claim)
    if all(cell.equal for cell in cells):
        return same
    return different if any(cell.sign and not cell.equal for cell in cells) else UNKNOWN


def _differences(claim: Claim) -> list[Cell]:
    for name, cell in claim.cells.items():
        measured = cell.column.endswith("gain") and not cell.column.startswith("paper")
        if not measured or cell.low is None or cell.high is None:
            raise DataError(
                f"cell {name}: rule {claim.rule!r} judges gains with an interval, "
                f"found {cell.column}; quote other cells under `quoted`"
            )
    return [*claim.cells.values()]


def _order(claim: Claim) -> str:
    """Return the verdict on an order: of the mean and, if judged by seed, of each seed."""
    if wrong := [name for name, cell in claim.cells.items() if not cell.column.startswith("ap")]:
        raise DataError(f"cell {wrong[0]}: rule 'order' judges AP, found another column")
    if not ascending([cell.value for cell in claim.cells.values()]):
        return NOT
    return REPRODUCED if all(map(ascending, claim.seeds.values())) else IN_PART


def ascending(values: Iterable[float]) -> bool:
    """Return whether each value is greater than the one before it."""
    return all(low < high for low, high in pairwise(values))


RULES: Mapping[str, Callable[[Claim], str]] = {
    "gain": partial(_gain, paper=1),
    "loss": partial(_gain, paper=-1),
    "no gain": partial(_no_gain, same=REPRODUCED, different=NOT),
    "equal": partial(_no_gain, same=EQUAL, different=DIFFERENT),
    "order": _order,
}


def check_seeds(claim: Claim) -> None:
    """Raise DataError if a cell of a claim is not the mean over its seeds."""
    columns = zip(*claim.seeds.values(), strict=True)
    for (name, cell), values in zip(claim.cells.items(), columns, strict=False):
        if abs(fmean(values) - cell.value) > 0.0051:  # a table has two decimals
            listed = ", ".join(f"{value:g}" for value in values)
            raise DataError(f"cell {name}: {cell.text(2)} is not the mean of its seeds, {listed}")
