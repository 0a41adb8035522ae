"""Charts of the page as SVG that takes its colours and its typeface from the page."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from datastill.page.blocks import printable

INK, MUTED, LINE = "#111213", "#666768", "#dddedf"
ROLES = {  # Okabe and Ito's colours, as in the figures of the tables; the page has darker ground
    "supervised": "#55565a", "teacher": "#55565a", "control": "#0072b2",
    "teacher and control": "#0072b2", "student": "#d55e00", "distilled": "#d55e00",
    "upper bound": "#009e73",
}  # fmt: skip
MARKERS = {"#55565a": "o", "#0072b2": "s", "#d55e00": "D", "#009e73": "^"}
_PAGE = {
    INK: "--ink", MUTED: "--muted", LINE: "--line", "#55565a": "--grey", "#0072b2": "--blue",
    "#d55e00": "--orange", "#009e73": "--green", "#cc79a7": "--pink", "#e69f00": "--yellow",
}  # fmt: skip
KINDS = ("#009e73", "#0072b2", "#e69f00", "#cc79a7", "#d55e00", "#55565a")
_STYLE: Any = {
    "svg.fonttype": "none", "font.size": 11, "text.parse_math": False, "text.color": INK,
    "axes.edgecolor": LINE, "axes.labelcolor": MUTED, "axes.labelsize": 11,
    "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "axes.grid": True, "grid.color": LINE, "axes.axisbelow": True, "axes.spines.top": False,
    "axes.spines.right": False, "axes.spines.left": False, "legend.frameon": False,
    "figure.facecolor": "none", "axes.facecolor": "none",
    "xtick.major.size": 0, "ytick.major.size": 0, "lines.linewidth": 1.8,
}  # fmt: skip
_UNUSED = re.compile(r' id="[A-Za-z][\w.]*_\d+"|<metadata>.*?</metadata>', re.DOTALL)
_SIZE = re.compile(r'<svg[^>]*viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>')
_FONT = re.compile(r"font: ([\d.]+)px [^;\"]*")

_LONGEST = 32  # characters of a name on an axis

Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]  # x and y by name


class _Canvas:
    """A chart of so many pixels: draw on `axes`, then take `svg()`."""

    def __init__(self, width: int, height: int) -> None:
        self._figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        self.axes: Axes = self._figure.subplots()

    def svg(self, title: str) -> Markup:
        """Return the chart for the page; `title` is read to those who cannot see it."""
        stream = io.StringIO()
        with rc_context({"svg.hashsalt": title}):
            FigureCanvasSVG(self._figure).print_svg(stream, metadata={"Date": None})
        text = _UNUSED.sub("", stream.getvalue())
        text = _FONT.sub(r"font-size: \1px", text[text.index("<svg") :])
        for colour, variable in _PAGE.items():
            text = text.replace(colour, f"var({variable})")
        width, height = map(float, _SIZE.match(text).groups())  # type: ignore[union-attr]
        head = Markup(
            '<svg role="img" aria-label="{}" viewBox="0 0 {} {}" style="max-width: {}px">'
        ).format(title, width, height, width)
        return head + Markup(text[text.index(">") + 1 :])


def _name_rows(axes: Axes, rows: Sequence[float], names: Sequence[str]) -> None:
    clean = (printable(name) for name in names)
    axes.set_yticks(
        rows, [n if len(n) <= _LONGEST else f"{n[: _LONGEST - 1]}\u2026" for n in clean]
    )


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, borderaxespad=0.2,
        handlelength=1.4, columnspacing=1.2, fontsize=10.5, labelcolor=INK,
    )  # fmt: skip


@rc_context(_STYLE)
def forest(title: str, lines: Sequence[tuple[str, float, float, float, bool, str]]) -> Markup:
    """Draw gains: name, gain, low, high, whether distinguishable, role."""
    chart = _Canvas(620, 54 + 32 * len(lines))
    axes = chart.axes
    axes.axvline(0, color=MUTED, lw=1)
    for y, (_, gain, low, high, sure, role) in enumerate(reversed(lines)):
        colour = ROLES[role]
        axes.plot([low, high], [y, y], color=colour, alpha=1 if sure else 0.55)
        axes.plot(
            gain, y, MARKERS[colour], color=colour, markersize=8, markeredgecolor=colour,
            markerfacecolor=colour if sure else "none",
        )  # fmt: skip
        axes.annotate(
            f"{gain:+z.1f}", (1.01, y), xycoords=("axes fraction", "data"), va="center", color=INK
        )
    _name_rows(axes, range(len(lines)), [name for name, *_ in reversed(lines)])
    axes.set_ylim(-0.6, len(lines) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("gain in AP")
    return chart.svg(title)


@rc_context(_STYLE)
def curves(title: str, series: Series, x: str, y: str, top: float) -> Markup:
    """Draw lines by role; the second axis goes from 0 to `top`."""
    chart = _Canvas(420, 300)
    for name, (xs, ys) in series.items():
        chart.axes.plot(xs, ys, color=ROLES.get(name, INK), label=name)
    chart.axes.set_xlabel(x)
    chart.axes.set_ylabel(y)
    chart.axes.set_ylim(0, 1.02 * top)
    _legend(chart.axes, 3)
    return chart.svg(title)


@rc_context(_STYLE)
def dots(title: str, names: Sequence[str], series: Mapping[str, Sequence[float]], x: str) -> Markup:
    """Draw a value per name and role, a line per name."""
    chart = _Canvas(420, 76 + 23 * len(names))
    for row, name in enumerate(series):
        values, colour = series[name], ROLES.get(name, INK)
        chart.axes.plot(
            values, range(len(names)), MARKERS.get(colour, "o"), color=colour, label=name,
            alpha=0.9, markersize=7 - row, linestyle="none",
        )  # fmt: skip
    _name_rows(chart.axes, range(len(names)), names)
    chart.axes.set_ylim(len(names) - 0.4, -0.6)
    chart.axes.set_xlim(left=min(0, chart.axes.get_xlim()[0]))
    chart.axes.set_xlabel(x)
    _legend(chart.axes, 3)
    return chart.svg(title)


@rc_context(_STYLE)
def stacked(title: str, shares: Mapping[str, Sequence[float]], kinds: Sequence[str]) -> Markup:
    """Draw a bar of percentages per row, a colour per kind."""
    chart = _Canvas(620, 92 + 30 * len(shares))
    left = np.zeros(len(shares))
    rows = [*range(len(shares))]
    for kind, colour, values in zip(kinds, KINDS, np.transpose([*shares.values()]), strict=False):
        chart.axes.barh(rows, values, left=left, color=colour, label=kind, height=0.62)
        for row, value, start in zip(rows, values, left, strict=True):
            if value >= 6:
                at = (start + value / 2, row)
                chart.axes.annotate(f"{value:.0f}", at, ha="center", va="center", color="#ffffff")
        left += values
    _name_rows(chart.axes, rows, [*shares])
    chart.axes.invert_yaxis()
    chart.axes.grid(visible=False, axis="y")
    chart.axes.set_xlim(0, 100)
    chart.axes.set_xlabel("% of the marked keypoints")
    _legend(chart.axes, 6)
    return chart.svg(title)


@rc_context(_STYLE)
def bars(title: str, names: Sequence[str], series: Mapping[str, Sequence[float]], x: str) -> Markup:
    """Draw bars side by side: one per name and role."""
    chart = _Canvas(420, 76 + 20 * len(names) * max(1, len(series)))
    height = 0.8 / max(1, len(series))
    for index, (name, values) in enumerate(series.items()):
        rows = np.arange(len(names)) + (index - (len(series) - 1) / 2) * height
        chart.axes.barh(rows, values, height * 0.88, color=ROLES.get(name, INK), label=name)
        for row, value in zip(rows, values, strict=True):
            chart.axes.annotate(
                f"{value:.1f}", (value, row), xytext=(4, 0), textcoords="offset points",
                va="center", fontsize=10, color=MUTED,
            )  # fmt: skip
    _name_rows(chart.axes, range(len(names)), names)
    chart.axes.invert_yaxis()
    chart.axes.margins(x=0.12)
    chart.axes.grid(visible=False, axis="y")
    chart.axes.set_xlabel(x)
    _legend(chart.axes, 3)
    return chart.svg(title)


@rc_context(_STYLE)
def histogram(
    title: str, series: Mapping[str, tuple[str, Sequence[float]]], edges: Sequence[float],
    labels: tuple[str, str], line: float | None = None,
) -> Markup:  # fmt: skip
    """Draw bins: colour and values by name; `labels` of both axes; `line` is a threshold."""
    chart = _Canvas(420, 280)
    for name, (colour, values) in series.items():
        chart.axes.stairs(values, edges, color=colour, fill=True, alpha=0.35)
        chart.axes.stairs(values, edges, color=colour, label=name, lw=1.5)
    if line is not None:
        chart.axes.axvline(line, color=INK, lw=1.2, ls="--", label=f"threshold {line:.2f}")
    chart.axes.set_xlabel(labels[0])
    chart.axes.set_ylabel(labels[1])
    _legend(chart.axes, 3)
    return chart.svg(title)
