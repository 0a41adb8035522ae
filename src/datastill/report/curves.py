"""An ablation at one glance: ours on the left, the paper's on the right, each on its own scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from datastill.errors import DataError
from datastill.report.ablation_text import TITLES
from datastill.report.multiple_testing import UNSURE
from datastill.report.plots import STYLES

XS = {
    "table2": "iterations, in thousands of the paper's",
    "figure5": "fraction of the unlabelled images",
    "figure6": "AP of the teacher, as it annotates",
}
UNIT = {"table2": 1000}


@dataclass(frozen=True)
class Series:
    """Points of a curve and, where they are measured here, their intervals."""

    role: str
    x: Sequence[float]
    ap: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def ablation_figure(table: pd.DataFrame, path: Path) -> None:
    """Draw a table of ablations as a PNG: curves where it has an x, else a line per row.

    A bar is the 95 % interval over images. The same table makes the same bytes. Raises DataError on
    a table without lines.
    """
    if table.empty:
        raise DataError(f"{path}: expected a table with lines to draw, found none")
    curves = table["table"].iloc[0] in XS
    figure = _curves(table) if curves else _bars(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})


def _curves(table: pd.DataFrame) -> Figure:
    name = table["table"].iloc[0]
    ours, paper = list(_ours(table)), list(_papers(table))
    figure = Figure(figsize=(9.5 if paper else 5.5, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots(1, 2 if paper else 1, squeeze=False)[0]
    for axis, whose, series in zip(axes, ("ours", "paper"), (ours, paper), strict=False):
        for each in series:
            _draw(axis, each, UNIT.get(name, 1))
        axis.set_title(whose, fontsize=10)
        axis.set_xlabel(XS[name], fontsize=9)
        axis.set_ylabel("AP", fontsize=9)
        axis.grid(color="#EEEEEE")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(TITLES[name], fontsize=11, fontweight="bold")
    return figure


def _ours(table: pd.DataFrame) -> Iterator[Series]:
    for role, lines in table[table["role"] != "paper"].groupby("role", sort=False):
        yield Series(str(role), *(lines[c].tolist() for c in ("x", "ap", "ap_low", "ap_high")))
    distilled = table[table["control_gain"].notna()]
    if "table2" not in set(table["table"]) and len(distilled):
        level = (distilled["ap"] - distilled["control_gain"]).tolist()
        yield Series("control", distilled["x"].tolist(), level)


def _papers(table: pd.DataFrame) -> Iterator[Series]:
    points = table[table["role"] == "paper"]
    if len(points):
        yield Series("distilled", points["x"].tolist(), points["paper_ap"].tolist())
        return
    known = table[table["paper_ap"].notna()]
    for role, lines in known.groupby("role", sort=False):
        yield Series(str(role), lines["x"].tolist(), lines["paper_ap"].tolist())


def _draw(axis: Axes, series: Series, unit: float) -> None:
    colour, marker = STYLES[series.role]
    x = [value / unit for value in series.x]
    axis.plot(x, series.ap, f"{marker}-", color=colour, lw=1.5, markersize=6,
              markeredgecolor="white", label=series.role)  # fmt: skip
    if series.low:
        axis.vlines(x, series.low, series.high, color=colour, lw=2, alpha=0.4)


def _bars(table: pd.DataFrame) -> Figure:
    lines = table.to_dict("records")
    figure = Figure(figsize=(9, 0.34 * len(lines) + 1.2), dpi=150, layout="constrained")
    axis = figure.subplots()
    for y, line in enumerate(reversed(lines)):
        _draw_bar(axis, line, y)
    names = [_name(line, table["test_views"].nunique() > 1) for line in reversed(lines)]
    axis.set_yticks(range(len(lines)), names)
    axis.set_ylim(-0.6, len(lines) - 0.4)
    low, high = axis.get_xlim()
    axis.set_xlim(low, high + 0.3 * (high - low))  # room for the numbers
    axis.set_xlabel("AP; bar: 95 % interval over images; gain in brackets: not distinguishable")
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color="#EEEEEE")
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_title(TITLES[lines[0]["table"]], fontsize=11, fontweight="bold")
    return figure


def _draw_bar(axis: Axes, line: dict[Any, Any], y: int) -> None:
    colour, marker = STYLES[line["role"]]
    if not pd.isna(line["ap_low"]):
        axis.hlines(y, line["ap_low"], line["ap_high"], color=colour, lw=2.5, alpha=0.5)
    axis.plot(line["ap"], y, marker, color=colour, markersize=7, markeredgecolor="white")
    if not pd.isna(line["paper_ap"]):
        told = f"  paper {line['paper_ap']:.1f}"
        axis.text(1.0, y, told, transform=axis.get_yaxis_transform(), va="center", fontsize=8,
                  color="#555555")  # fmt: skip
    end = line["ap"] if pd.isna(line["ap_high"]) else line["ap_high"]
    axis.annotate(f"{line['ap']:.1f}{_gain(line)}", (end, y), xytext=(8, 0),
                  textcoords="offset points", va="center", fontsize=9)  # fmt: skip


def _gain(line: dict[Any, Any]) -> str:
    if pd.isna(line["gain"]):
        return ""
    unsure = line["gain_verdict"] == UNSURE
    return f"   ({line['gain']:+z.1f})" if unsure else f"   {line['gain']:+z.1f}"


def _name(line: dict[Any, Any], views: bool) -> str:
    return f"{line['row']}, {line['test_views']} view(s)" if views else line["row"]
