"""A table at one glance: AP of every training with its interval, beside the paper's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from datastill.errors import DataError
from datastill.report.multiple_testing import UNSURE
from datastill.report.render import title, training

# Okabe and Ito's colours, told apart by colour-blind eyes; shapes say the same without colour
STYLES = {
    "supervised": ("#555555", "o"),
    "control": ("#0072B2", "s"),
    "distilled": ("#D55E00", "D"),
    "upper bound": ("#009E73", "^"),
}
KEY = "    ".join(
    (
        "row: training, iterations",
        "bar: 95 % interval over images",
        "dashed: baseline",
        "gain in brackets: not distinguishable",
    )
)
FAINT = "#B0B0B0"
ROW = 0.32  # inches a line
APART = 1.3  # lines of space above a section, for its title


def table_figure(table: pd.DataFrame, path: Path) -> None:
    """Draw the table as a PNG: a panel for ours and, where it has numbers, one for the paper's.

    A bar is the 95 % interval over images, the dashed line the section's baseline. Beside AP
    stands the gain, in brackets where it is not distinguishable from none. Each panel has its own
    scale. The same table makes the same bytes.
    Raises DataError on a table without lines.
    """
    if table.empty:
        raise DataError(
            f"{path}: expected a distilled row to draw, found none; a row with an `ablation` is no "
            "line of this table"
        )
    rows = _placed(table)
    both = bool(rows["paper_ap"].notna().any())
    height = ROW * (APART + 1 - rows["y"].min()) + 0.8
    figure = Figure(figsize=(9.5 if both else 6.5, height), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2 if both else 1, sharey=True, squeeze=False)[0]
    for axis, name, side in zip(axes, ("ours", "paper"), ("", "paper_"), strict=False):
        _draw_panel(axis, rows, side)
        axis.set_xlabel(f"AP, {name}")
    figure.supxlabel(KEY, fontsize=8, color="#555555")
    _name_rows(axes[0], rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.print_png(path, metadata={"Software": None})  # no version of matplotlib in the file


def _placed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the height `y` of every line: the first on top, sections apart."""
    section = pd.factorize(table["table"])[0]
    return table.assign(y=[-line - APART * part for line, part in enumerate(section)])


def _draw_panel(axis: Axes, rows: pd.DataFrame, side: str) -> None:
    known = rows[rows[f"{side}ap"].notna()]
    for _, group in known.groupby(["table", "backbone"], sort=False):
        _draw_baseline(axis, group, side)
    for line in known.to_dict("records"):
        _draw_line(axis, line, side)
    ends = known[["paper_ap"] if side else ["ap", "ap_low", "ap_high"]].to_numpy(float)
    low, high = ends.min(), ends.max()
    span = max(high - low, 1.0)
    axis.set_xlim(low - 0.08 * span, high + 0.35 * span)  # on the right, room for the numbers
    axis.set_ylim(rows["y"].min() - 0.7, APART + 0.1)
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axis.grid(axis="x", color="#EEEEEE")
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _draw_baseline(axis: Axes, group: pd.DataFrame, side: str) -> None:
    first = group[group["role"] == "supervised"]
    if len(first):
        x, heights = first[f"{side}ap"].iloc[0], group["y"]
        axis.vlines(x, heights.min() - 0.35, heights.max(), color=FAINT, linestyle="--", lw=1)


def _draw_line(axis: Axes, line: dict[Any, Any], side: str) -> None:
    colour, marker = STYLES[line["role"]]
    ap, y, end = line[f"{side}ap"], line["y"], line[f"{side}ap"]
    if not side:
        end = line["ap_high"]
        axis.hlines(y, line["ap_low"], end, color=colour, lw=2.5, alpha=0.55)
    axis.plot(ap, y, marker, color=colour, markersize=7, markeredgecolor="white")
    axis.annotate(
        f"{ap:.1f}{_gain(line, side)}",
        (end, y),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
    )


def _gain(line: dict[Any, Any], side: str) -> str:
    gain = line[f"{side}gain"]
    if pd.isna(gain):
        return ""
    unsure = not side and line["gain_verdict"] == UNSURE
    return f"   ({gain:+z.1f})" if unsure else f"   {gain:+z.1f}"


def _name_rows(axis: Axes, rows: pd.DataFrame) -> None:
    several = rows["backbone"].nunique() > 1
    axis.set_yticks(rows["y"], [_name(line, several) for line in rows.to_dict("records")])
    for _, section in rows.groupby("table", sort=False):
        axis.text(
            0,
            section["y"].max() + 0.6,
            title(section),
            transform=axis.get_yaxis_transform(),
            fontweight="bold",
            va="bottom",
        )


def _name(line: dict[Any, Any], several: bool) -> str:
    sets = f" ({line['labelled']})" if line["role"] == "upper bound" else ""
    backbone = f"{line['backbone']}, " if several else ""
    return f"{training(line)}{sets}, {backbone}{line['iterations']:,}"
