"""Tables as figures: AP with intervals, ours beside the paper's."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from datastill.errors import DataError
from datastill.report.multiple_testing import UNSURE
from datastill.report.pages import TITLES, title, training
from datastill.report.render import Record, number

# Okabe and Ito's colours, safe for colour blindness; shapes encode the same without colour
STYLES = {
    "supervised": ("#555555", "o"),
    "control": ("#0072B2", "s"),
    "distilled": ("#D55E00", "D"),
    "upper bound": ("#009E73", "^"),
}
KEY = (
    "row: training, iterations    bar: 95 % interval    dashed: baseline    "
    "gain in brackets: not distinguishable"
)
FAINT, GREY, PALE = "#B0B0B0", "#555555", "#EEEEEE"
ROW = 0.32  # inches a line
APART = 1.3  # lines of space above a section, for its title
CURVES = {  # tables with an x, and what it is
    "table2": "iterations, in thousands of the paper's",
    "figure5": "fraction of the unlabelled images",
    "figure6": "AP of the teacher, as it annotates",
}


def draw_table(table: pd.DataFrame, path: Path) -> None:
    """Draw a table as a PNG: the same table makes the same bytes.

    Tables 1 and 4 have a panel for ours and, if it has numbers, one for the paper's, the
    section's baseline dashed; of ablations, those with an x are curves, others bars. A bar is the
    95 % interval. Raises DataError on a table without lines.
    """
    if table.empty:
        raise DataError(
            f"{path}: expected a distilled row to draw, found none; a row with an `ablation` is "
            "not a line of this table"
        )
    of_ablations = _curves if table["table"].iloc[0] in CURVES else _bars
    figure = of_ablations(table) if "row" in table else _panels(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    # the file does not name matplotlib's version
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})


def _panels(table: pd.DataFrame) -> Figure:
    section = pd.factorize(table["table"])[0]
    lines = table.assign(y=[-line - APART * part for line, part in enumerate(section)])
    both = bool(lines["paper_ap"].notna().any())
    height = ROW * (APART + 1 - lines["y"].min()) + 0.8
    figure = Figure(figsize=(9.5 if both else 6.5, height), dpi=150, layout="constrained")
    axes = figure.subplots(1, 2 if both else 1, sharey=True, squeeze=False)[0]
    for axis, name, side in zip(axes, ("ours", "paper"), ("", "paper_"), strict=False):
        _draw_panel(axis, lines, side)
        axis.set_xlabel(f"AP, {name}")
    figure.supxlabel(KEY, fontsize=8, color=GREY)
    _name_lines(axes[0], lines)
    return figure


def _draw_panel(axis: Axes, lines: pd.DataFrame, side: str) -> None:
    known = lines[lines[f"{side}ap"].notna()]
    for _, group in known.groupby(["table", "backbone"], sort=False):
        baseline = group[group["role"] == "supervised"]
        if len(baseline):
            x, y = baseline[f"{side}ap"].iloc[0], group["y"]
            axis.vlines(x, y.min() - 0.35, y.max(), color=FAINT, linestyle="--", lw=1)
    for line in known.to_dict("records"):
        _draw_bar(axis, line, line["y"], side, alpha=0.55)
    ends = known[["paper_ap"] if side else ["ap", "ap_low", "ap_high"]].to_numpy(float)
    low, high = ends.min(), ends.max()
    span = max(high - low, 1.0)
    axis.set_xlim(low - 0.08 * span, high + 0.35 * span)  # space for the numbers on the right
    axis.set_ylim(lines["y"].min() - 0.7, APART + 0.1)
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _style(axis)


def _style(axis: Axes) -> None:
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color=PALE)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _draw_bar(axis: Axes, line: Record, y: float, side: str, alpha: float) -> None:
    """Draw AP, ours with its interval, and write it and the gain beside it."""
    colour, marker = STYLES[line["role"]]
    ap = end = line[f"{side}ap"]
    if not side and not pd.isna(line["ap_low"]):
        end = line["ap_high"]
        axis.hlines(y, line["ap_low"], end, color=colour, lw=2.5, alpha=alpha)
    axis.plot(ap, y, marker, color=colour, markersize=7, markeredgecolor="white")
    gain = number(f"{side}gain", "+z.1f")(line)
    if gain and not side and line["gain_verdict"] == UNSURE:
        gain = f"({gain})"
    axis.annotate(f"{ap:.1f}   {gain}".rstrip(), (end, y), xytext=(8, 0),
                  textcoords="offset points", va="center", fontsize=9)  # fmt: skip


def _name_lines(axis: Axes, lines: pd.DataFrame) -> None:
    several = lines["backbone"].nunique() > 1
    names = []
    for line in lines.to_dict("records"):
        sets = f" ({line['labelled']})" if line["role"] == "upper bound" else ""
        backbone = f"{line['backbone']}, " if several else ""
        names.append(f"{training(line)}{sets}, {backbone}{line['iterations']:,}")
    axis.set_yticks(lines["y"], names)
    for _, section in lines.groupby("table", sort=False):
        axis.text(0, section["y"].max() + 0.6, title(section), fontweight="bold", va="bottom",
                  transform=axis.get_yaxis_transform())  # fmt: skip


def _curves(table: pd.DataFrame) -> Figure:
    name, ours = table["table"].iloc[0], table[table["role"] != "paper"]
    points = table[table["role"] == "paper"].assign(role="distilled")
    paper = points if len(points) else table[table["paper_ap"].notna()]
    sides = [("ours", "ap", ours)] + ([("paper", "paper_ap", paper)] if len(paper) else [])
    figure = Figure(figsize=(5.5 if paper.empty else 9.5, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots(1, len(sides), squeeze=False)[0]
    for axis, (whose, column, lines) in zip(axes, sides, strict=True):
        for role, part in lines.groupby("role", sort=False):
            x = part["x"] / (1000 if name == "table2" else 1)
            _draw_curve(axis, str(role), x, part[column])
            if whose == "ours":
                low, high, colour = part["ap_low"], part["ap_high"], STYLES[str(role)][0]
                axis.vlines(x, low, high, color=colour, lw=2, alpha=0.4)
        axis.set_title(whose, fontsize=10)
        axis.set_xlabel(CURVES[name], fontsize=9)
        axis.set_ylabel("AP", fontsize=9)
        axis.grid(color=PALE)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    students = table[table["control_gain"].notna()]
    if name != "table2" and len(students):
        _draw_curve(axes[0], "control", students["x"], students["ap"] - students["control_gain"])
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(TITLES[name], fontsize=11, fontweight="bold")
    return figure


def _draw_curve(axis: Axes, role: str, x: "pd.Series[float]", ap: "pd.Series[float]") -> None:
    colour, marker = STYLES[role]
    axis.plot(x, ap, f"{marker}-", color=colour, lw=1.5, markersize=6,
              markeredgecolor="white", label=role)  # fmt: skip


def _bars(table: pd.DataFrame) -> Figure:
    lines = table.iloc[::-1].to_dict("records")
    figure = Figure(figsize=(9, 0.34 * len(lines) + 1.2), dpi=150, layout="constrained")
    axis = figure.subplots()
    for y, line in enumerate(lines):
        _draw_bar(axis, line, y, "", alpha=0.5)
        if not pd.isna(line["paper_ap"]):
            axis.text(1.0, y, f"  paper {line['paper_ap']:.1f}", va="center", fontsize=8,
                      color=GREY, transform=axis.get_yaxis_transform())  # fmt: skip
    views = table["test_views"].nunique() > 1
    names = [f"{x['row']}, {x['test_views']} view(s)" if views else x["row"] for x in lines]
    axis.set_yticks(range(len(lines)), names)
    axis.set_ylim(-0.6, len(lines) - 0.4)
    low, high = axis.get_xlim()
    axis.set_xlim(low, high + 0.3 * (high - low))  # space for the numbers
    axis.set_xlabel("AP; bar: 95 % interval; gain in brackets: not distinguishable")
    _style(axis)
    axis.set_title(TITLES[table["table"].iloc[0]], fontsize=11, fontweight="bold")
    return figure
