"""The table engine: values as a frame and CSV, cells as Markdown and as text for a terminal."""

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from datastill.report.multiple_testing import UNSURE

DECIMALS = 2  # of a CSV
WIDTH = 110  # columns of the terminal
WORDS = {
    "table", "row", "role", "labelled", "unlabelled", "teacher", "ablation", "backbone", "over",
    "gain_verdict", "control", "control_gain_verdict", "rows",
    "rmse_gain_verdict", "rmse_control_gain_verdict",
}  # fmt: skip
COUNTS = {"iterations", "round", "seed", "seeds", "test_views"}  # all other columns are numbers

Record = Mapping[Any, Any]  # one line of a frame, by column


@dataclass(frozen=True)
class Column:
    """A column of a rendered table: `cell` formats a line; it is in the tables it `applies` to."""

    heading: str
    cell: Callable[[Record], str]
    right: bool = False
    applies: Callable[[pd.DataFrame], bool] = lambda _: True


def frame(lines: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return the lines as a frame of these columns; missing values are NaN."""
    types = {name: "Int64" if name in COUNTS else "float" for name in columns if name not in WORDS}
    return pd.DataFrame(lines, columns=list(columns)).astype(types)


def to_csv(table: pd.DataFrame) -> str:
    """Return the table as CSV, numbers with two decimals and p-values with four."""
    names = table.select_dtypes("float").columns
    rounded = table.assign(
        **{name: table[name].round(DECIMALS) + 0.0 for name in names}
    )  # no -0.00
    for name in names[names.str.endswith("_p")]:
        rounded[name] = table[name].map("{:.4f}".format, na_action="ignore")
    return rounded.to_csv(index=False, float_format="%.2f", lineterminator="\n")


def shown(columns: Sequence[Column], table: pd.DataFrame) -> list[Column]:
    """Return the columns that apply to `table` and are not empty in it."""
    lines = table.to_dict("records")
    return [c for c in columns if c.applies(table) and any(map(c.cell, lines))]


def markdown_grid(columns: Sequence[Column], table: pd.DataFrame) -> str:
    """Return the cells as a Markdown table."""
    heading, *lines = _cells(columns, table)
    rule = ["---:" if column.right else "---" for column in columns]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heading, rule, *lines])


def text_grid(columns: Sequence[Column], table: pd.DataFrame) -> list[str]:
    """Return the cells as lines for a terminal, in aligned columns."""
    grid = [[cell.replace(UNSURE, "~") for cell in cells] for cells in _cells(columns, table)]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in grid
    ]


def legend(table: pd.DataFrame) -> list[str]:
    """Return the line that explains ~, if the text of `table` contains it."""
    verdicts = table[["gain_verdict", "control_gain_verdict"]]
    return [f"~ {UNSURE} from no gain"] if (verdicts == UNSURE).to_numpy().any() else []


def wrapped(sentences: Iterable[str]) -> list[str]:
    """Return the sentences as lines that fit the terminal."""
    return [line for sentence in sentences for line in textwrap.wrap(sentence, WIDTH)]


def _cells(columns: Sequence[Column], table: pd.DataFrame) -> list[list[str]]:
    lines = table.to_dict("records")
    return [[c.heading for c in columns], *([c.cell(line) for c in columns] for line in lines)]


def several(name: str) -> Callable[[pd.DataFrame], bool]:
    """Return whether a table has different values of `name`."""
    return lambda table: bool(table[name].nunique() > 1)


def several_seeds(table: pd.DataFrame) -> bool:
    """Return whether a line of the table is the mean over seeds."""
    return bool((table["seeds"] > 1).any())


def word(name: str) -> Callable[[Record], str]:
    """Return a cell with the value of `name`."""
    return lambda line: str(line[name]) if pd.notna(line.get(name)) else ""


def number(name: str, form: str = "z.1f") -> Callable[[Record], str]:
    """Return a cell with the number `name` in a format, rounded as the CSV has it."""
    return lambda line: (
        f"{np.round(line[name], DECIMALS):{form}}" if pd.notna(line.get(name)) else ""
    )


def gain_cell(name: str) -> Callable[[Record], str]:
    """Return a cell with a gain, its interval and whether it is not distinguishable from none."""

    def cell(line: Record) -> str:
        if pd.isna(line.get(name)):
            return ""
        low, high = (number(f"{name}_{end}")(line) for end in ("low", "high"))
        unsure = f" {UNSURE}" if line[f"{name}_verdict"] == UNSURE else ""
        return f"{number(name, '+z.1f')(line)} [{low}, {high}]{unsure}"

    return cell


def ap_cell(line: Record) -> str:
    """Return a cell with AP, its interval and the standard deviation between seeds."""
    low, high, sd = (number(f"ap_{name}", ".1f")(line) for name in ("low", "high", "sd"))
    return number("ap", ".1f")(line) + (low and f" [{low}, {high}]") + (sd and f" ± {sd}")
