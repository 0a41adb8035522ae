"""A table of ablations for a person to read: Markdown for a page, fixed width for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from datastill.report.multiple_testing import UNSURE
from datastill.report.render import aligned, told_gain

TITLES = {
    "table2": "Table 2: how long to train",
    "table3": "Table 3: all views at test time, too",
    "figure5": "Figure 5: how many unlabelled images (minibatches 1 : fraction, longer by as much)",
    "figure6": "Figure 6: how good a teacher",
    "beyond": "Beyond the paper: what helps?",
}
XS = {"figure5": "fraction", "figure6": "teacher AP"}  # what the columns `x` are
XFORMATS = {"fraction": "g", "teacher AP": ".1f"}
NOTE = (
    "Intervals (95 %) are over the images of val, gains paired over them; {seeds}. A gain "
    "is called distinguishable where its bootstrap p-value, corrected for all of this table "
    "(Holm), is below 0.05."
)
ONE = "one seed a row, so they say nothing of what another seed would give"
SEVERAL = (
    "where there are several seeds, ± is their standard deviation and gains hold what others "
    "would give"
)
CONTROL = " Control: the same labels for as many iterations, without generated annotations."

Line = Mapping[Any, Any]


def ablation_markdown(table: pd.DataFrame) -> str:
    """Return the table with its title, its figure where it is one, and how to read it."""
    name = table["table"].iloc[0]
    lines = _cells(table, f" {UNSURE}")
    rows = [list(lines[0]), ["---"] * len(lines[0]), *(list(line.values()) for line in lines)]
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    picture = [f"![{TITLES[name]}]({name}.png)"] if name in XS else []
    return (
        "\n\n".join([f"**{TITLES[name]}**", *picture, body, *_papers(table), _note(table)]) + "\n"
    )


def ablation_text(table: pd.DataFrame) -> str:
    """Return the table for a terminal; a gain followed by ~ is not distinguishable from none."""
    lines = _cells(table, " ~")
    short = [{k: v for k, v in line.items() if k not in ("AP50", "AP75")} for line in lines]
    rows = [list(short[0]), *(list(line.values()) for line in short)]
    unsure = any("~" in cell for row in rows for cell in row)
    foot = [f"~ {UNSURE} from no gain"] if unsure else []
    return "\n".join([TITLES[table["table"].iloc[0]], *aligned(rows), *foot]) + "\n"


def _note(table: pd.DataFrame) -> str:
    note = NOTE.format(seeds=SEVERAL if table["seeds"].max() > 1 else ONE)
    return note + (CONTROL if table["control"].notna().any() else "")


def _papers(table: pd.DataFrame) -> list[str]:
    """Return the points of a figure in the paper."""
    points = table[table["role"] == "paper"]
    told = ", ".join(
        f"{x:g}: {ap:.1f}" for x, ap in zip(points["x"], points["paper_ap"], strict=True)
    )
    return [f"The paper's AP by {XS[points['table'].iloc[0]]}: {told}."] if told else []


def _cells(table: pd.DataFrame, unsure: str) -> list[dict[str, str]]:
    ours = table[table["role"] != "paper"]
    lines = [_line(line, unsure) for line in ours.to_dict("records")]
    told = [name for name in lines[0] if any(line[name] for line in lines)]
    if ours["test_views"].nunique() == 1:
        told.remove("test views")
    if ours["seeds"].max() == 1:
        told.remove("seeds")
    return [{name: line[name] for name in told} for line in lines]


def _line(line: Line, unsure: str) -> dict[str, str]:
    x = XS.get(line["table"], "")
    return {
        "row": line["row"],
        "ablation": line["ablation"],
        "iterations": f"{line['iterations']:,}",
        "test views": str(line["test_views"]),
        x or "x": f"{line['x']:{XFORMATS[x]}}" if x else "",
        "seeds": str(line["seeds"]),
        "AP [95 %]": _ap(line),
        "AP50": f"{line['ap50']:.1f}",
        "AP75": f"{line['ap75']:.1f}",
        "over": str(line["over"]) if _has(line, "over") else "",
        "gain [95 %]": told_gain(line, "gain", unsure),
        "over control [95 %]": told_gain(line, "control_gain", unsure),
        "paper AP": f"{line['paper_ap']:.1f}" if _has(line, "paper_ap") else "",
        "paper gain": f"{line['paper_gain']:+.1f}" if _has(line, "paper_gain") else "",
    }


def _has(line: Line, name: str) -> bool:
    return not pd.isna(line[name])


def _ap(line: Line) -> str:
    interval = f" [{line['ap_low']:.1f}, {line['ap_high']:.1f}]" if _has(line, "ap_low") else ""
    spread = f" ± {line['ap_sd']:.1f}" if _has(line, "ap_sd") else ""
    return f"{line['ap']:.1f}{interval}{spread}"
