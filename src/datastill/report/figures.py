"""Table 1 at one glance: AP of every training with its interval, beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from datastill.report.text import title

# Okabe and Ito's colours, told apart by colour-blind eyes; shapes say the same without colour
STYLES = {
    "supervised": ("#555555", "o"),
    "control": ("#56B4E9", "s"),
    "distilled": ("#D55E00", "D"),
    "upper bound": ("#009E73", "^"),
}
FAINT = "#BBBBBB"
ROW, GAP = 0.34, 1.1  # inches of a line; lines of space above a section, for its title


def table1_figure(table: pd.DataFrame, path: Path) -> None:
    """Draw the table as a PNG: a panel for ours and, where it has numbers, one for the paper's.

    A bar is the 95 % interval over images, the dashed line the section's baseline, the number
    the gain over it, in brackets where it is not distinguishable from none. The scales of the
    panels start where their numbers do.
    """
    rows = _placed(table)
    both = bool(table["paper_ap"].notna().any())
    height = ROW * (-rows["y"].min() + 1) + 1.0
    figure = Figure(figsize=(10 if both else 7, height), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2 if both else 1, sharey=True, squeeze=False)[0]
    _panel(axes[0], rows, "")
    axes[0].set_title("ours", fontweight="bold")
    if both:
        _panel(axes[1], rows, "paper_")
        axes[1].set_title("paper", fontweight="bold")
    _name_rows(axes[0], rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.print_png(path, metadata={"Software": None})  # no version, so the same bytes


def _placed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the height `y` of every line, sections apart, the first one on top."""
    section = table["table"].ne(table["table"].shift()).cumsum() - 1
    return table.assign(y=-(section * GAP + range(len(table))).astype(float))
