"""A table for a person to read: Markdown for a page, fixed width for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from datastill.report.multiple_testing import UNSURE

WIDTH = 110  # columns of the terminal
RIGHT = ("iterations", "seeds", "AP50", "AP75", "APS", "APM", "APL", "paper AP", "paper gain")

Line = Mapping[Any, Any]  # one line of a table, by column
Cells = dict[str, str]  # one line, by heading


def to_markdown(table: pd.DataFrame) -> str:
    """Return one Markdown table per section, with a title and the share of the gap closed.

    Columns without a value in the whole table, such as the paper's for other data, are left out.
    """
    return "\n\n".join(_markdown(table, part) for part in _sections(table)) + "\n"


def to_text(table: pd.DataFrame) -> str:
    """Return the table for a terminal; a gain followed by ~ is not distinguishable from none."""
    parts = [_text(table, part) for part in _sections(table)]
    unsure = (table[["gain_verdict", "control_gain_verdict"]] == UNSURE).to_numpy().any()
    return "\n\n".join([*parts, *([f"~ {UNSURE} from no gain"] if unsure else [])]) + "\n"


def title(section: pd.DataFrame) -> str:
    """Return what a section compares, such as "1a: co-35 labelled, co-80 unlabelled"."""
    distilled = section[section["role"] == "distilled"].iloc[0]
    return (
        f"{distilled['table']}: {distilled['labelled']} labelled, "
        f"{distilled['unlabelled']} unlabelled"
    )


def training(line: Line) -> str:
    """Return the role of a line, and the round of a student's student."""
    return f"{line['role']}, round {line['round']}" if line.get("round", 1) > 1 else line["role"]


def _sections(table: pd.DataFrame) -> list[pd.DataFrame]:
    return [part for _, part in table.groupby("table", sort=False)]


def _markdown(table: pd.DataFrame, section: pd.DataFrame) -> str:
    several = table["seeds"].max() > 1
    lines = [_page_cells(line, several) for line in section.to_dict("records")]
    names = [name for name in lines[0] if _is_told(name, table)]
    rows = [names, ["---:" if name in RIGHT else "---" for name in names]]
    rows += [[line[name] for name in names] for line in lines]
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n\n".join([f"**{title(section)}**", body, *_gap_sentences(section)])


def _page_cells(line: Line, several: bool) -> Cells:
    ap = "AP [95 %] ± sd of seeds" if several else "AP [95 %]"
    return {
        "training": training(line),
        "labelled": line["labelled"],
        "unlabelled": line["unlabelled"] if _has(line, "unlabelled") else "",
        "backbone": line["backbone"],
        "iterations": f"{line['iterations']:,}",
        "seeds": str(line["seeds"]),
        ap: _ap(line),
        "AP50": _number(line, "ap50"),
        "AP75": _number(line, "ap75"),
        "APS": _number(line, "ap_small"),
        "APM": _number(line, "ap_medium"),
        "APL": _number(line, "ap_large"),
        "gain [95 %]": told_gain(line, "gain", f" {UNSURE}"),
        "over control": told_gain(line, "control_gain", f" {UNSURE}"),
        "paper AP": _number(line, "paper_ap"),
        "paper gain": _number(line, "paper_gain", "+"),
    }


def _is_told(name: str, table: pd.DataFrame) -> bool:
    sources = {
        "over control": "control_gain",
        "paper AP": "paper_ap",
        "paper gain": "paper_gain",
        "APS": "ap_small",
        "APM": "ap_medium",
        "APL": "ap_large",
    }
    if name == "backbone":
        return table["backbone"].nunique() > 1
    source = sources.get(name)
    return source is None or (source in table and bool(table[source].notna().any()))


def _gap_sentences(section: pd.DataFrame) -> list[str]:
    closed = section[section["gap_closed"].notna()]
    return [_gap_sentence(line, section) for line in closed.to_dict("records")]


def _gap_sentence(line: Line, section: pd.DataFrame) -> str:
    upper = section[section["role"] == "upper bound"]["labelled"].iloc[0]
    several = (section["role"] == "distilled").sum() > 1
    which = f" ({line['backbone']}, {line['iterations']:,} iterations)" if several else ""
    paper = (
        f"; the paper's {line['paper_gap_closed']:.0f} %" if _has(line, "paper_gap_closed") else ""
    )
    return (
        f"Of the gap between {line['labelled']} and {upper}, all of it labelled, "
        f"distillation{which} closes {line['gap_closed']:.0f} %{paper}."
    )


def _text(table: pd.DataFrame, section: pd.DataFrame) -> str:
    head = textwrap.wrap(title(section), WIDTH)
    parts = [part for _, part in section.groupby("backbone", sort=False)]
    for part in parts:
        lines = [_screen_cells(line) for line in part.to_dict("records")]
        names = [name for name in lines[0] if any(line[name] for line in lines)]
        head += [part["backbone"].iloc[0]] if table["backbone"].nunique() > 1 else []
        head += aligned([names, *([line[name] for name in names] for line in lines)])
    return "\n".join(
        [*head, *(w for s in _gap_sentences(section) for w in textwrap.wrap(s, WIDTH))]
    )


def _screen_cells(line: Line) -> Cells:
    return {
        "training": training(line),
        "iter.": _short(line["iterations"]),
        "seeds": str(line["seeds"]),
        "AP [95 %]": _ap(line),
        "gain [95 %]": told_gain(line, "gain", " ~"),
        "over control": told_gain(line, "control_gain", " ~"),
        "paper (gain)": _paper(line),
    }


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines of a terminal, their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _short(iterations: int) -> str:
    return f"{iterations // 1000}k" if iterations % 1000 == 0 else str(iterations)


def _has(line: Line, name: str) -> bool:
    return name in line and not pd.isna(line[name])


def _number(line: Line, name: str, sign: str = "") -> str:
    return f"{line[name]:{sign}z.1f}" if _has(line, name) else ""


def _ap(line: Line) -> str:
    spread = f" ± {line['ap_sd']:.1f}" if _has(line, "ap_sd") else ""
    return f"{line['ap']:.1f} [{line['ap_low']:.1f}, {line['ap_high']:.1f}]{spread}"


def _paper(line: Line) -> str:
    gain = f" ({_number(line, 'paper_gain', '+')})" if _has(line, "paper_gain") else ""
    return _number(line, "paper_ap") + gain


def told_gain(line: Line, name: str, unsure: str) -> str:
    """Return a gain and its interval, with `unsure` behind it where chance may be all it is."""
    if not _has(line, name):
        return ""
    told = f"{line[name]:+z.1f} [{line[f'{name}_low']:z.1f}, {line[f'{name}_high']:z.1f}]"
    return told + (unsure if line[f"{name}_verdict"] == UNSURE else "")
