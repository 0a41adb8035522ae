"""The verdict of a run: one sentence, the table behind it and its gains."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from datastill.page.blocks import Chart, Group, Section, Table, Text
from datastill.page.finished_run import SETTINGS, FinishedRun
from datastill.page.svg_charts import forest
from datastill.report.grouping import averaged
from datastill.report.multiple_testing import UNSURE
from datastill.report.pages import (
    ABLATION_PAGE,
    EQUAL,
    PAGE,
    TITLES,
    describe_ap,
    gaps,
    note,
    pixels_note,
)
from datastill.report.render import Record, shown

_SPACE = "\u00a0"  # at which no line breaks
_UNSURE = UNSURE.replace(" ", _SPACE)
_FIRST = ("training", "AP [", "gain", "over control")
_ELSEWHERE = {"AP50", "AP75", "APS", "APM", "APL", "labelled", "unlabelled"}  # columns


def verdict_section(run: FinishedRun) -> Section:
    """Return the verdict, written from the numbers."""
    table = run.comparison
    if table.empty:
        blocks: list[Any] = [Text("This profile has no table of gains by setting.", tone="lead")]
        return Section("verdict", "Verdict", "", [*blocks, _of_rows(run), *_other_tables(run)])
    sections = [section for _, section in table.groupby("table", sort=False)]
    students = [_student(section) for section in sections]
    sentences = [
        sentence(line, _is_equal(section, line))
        for section, line in zip(sections, students, strict=True)
    ]
    lead = sentences[0] if len(sentences) == 1 else summary(students)
    blocks = [Text(lead, tone="lead")]
    blocks += [Text(text) for text in sentences] if len(sentences) > 1 else []
    blocks += [_forest(table)]
    for section in sections:
        blocks += [_grid(run, section), *(Text(gap) for gap in gaps(section))]
    alike = (table.groupby("table")["iterations"].nunique() == 1).all()
    reading = [note(table) + (EQUAL if alike else "")]
    reading += [*pixels_note(table), *describe_ap(run.val, run.task)]
    if len(run.settings) > SETTINGS:
        reading.append(f"What follows shows the first {SETTINGS} of {len(run.settings)} settings.")
    blocks += [Text(text, tone="note") for text in reading]
    return Section("verdict", "Verdict", "", [*blocks, *_other_tables(run)])


def _of_rows(run: FinishedRun) -> Table:
    measured = {row: metrics for row in run.specs if (metrics := run.metrics(row))}
    rows = [[_traced(run, row), f"{each['ap']:.1f}"] for row, each in measured.items()]
    return Table(["row", "AP"], rows, "Each row by itself.")


def _student(section: pd.DataFrame) -> Record:
    """Return the longest student of a setting."""
    students = section[section["role"] == "distilled"].sort_values("iterations")
    return students.to_dict("records")[-1]


def effect(line: Record) -> tuple[str, str]:
    """Return the gain that a student is judged by, such as "+3.1 AP [1.2, 5.0]", and its verdict.

    That over its control, where there is one.
    """
    name: str = "gain" if pd.isna(line["control_gain"]) else "control_gain"
    low, high = line[f"{name}_low"], line[f"{name}_high"]
    gain = f"{line[name]:+z.1f} AP [{low:z.1f}, {high:z.1f}]"
    return gain.replace(" ", _SPACE), line[f"{name}_verdict"]


def _is_equal(section: pd.DataFrame, line: Record) -> bool:
    """Return whether a student's gain is over a training as long as its own."""
    supervised: list[int] = section[section["role"] == "supervised"]["iterations"].tolist()
    return bool(pd.notna(line["control_gain"])) or line["iterations"] in supervised


def sentence(line: Record, is_equal: bool = True) -> str:
    """Return the verdict on one student, whose gain is over a training as long if `is_equal`."""
    gain, verdict = effect(line)
    training = f"{'an equally long' if is_equal else 'a shorter'} training run without them"
    sets, change = _sets(line), gain.replace(f"{_SPACE}AP", "")
    if verdict == "gain":
        return f"{sets}: unlabelled images brought {gain} over {training}."
    if verdict == "loss":
        return f"{sets}: unlabelled images lowered AP, by {change} against {training}."
    changed = f"unlabelled images changed AP by {change} over {training}"
    return f"{sets}: no distinguishable gain; {changed}."


def _sets(line: Record) -> str:
    return f"{line['labelled']} + {line['unlabelled']}"


def summary(lines: list[Record]) -> str:
    """Return the verdict on several students."""
    verdicts = [effect(line)[1] for line in lines]
    gained, lost = verdicts.count("gain"), verdicts.count("loss")
    if not gained and not lost:
        return f"In none of {len(lines)} settings did unlabelled images change AP distinguishably."
    if gained == len(lines):
        return f"Unlabelled images improved AP in each of {len(lines)} settings."
    parts = [f"improved AP in {gained}"] if gained else []
    parts += [f"lowered {'it' if gained else 'AP'} in {lost}"] if lost else []
    unsure = len(lines) - gained - lost
    parts += [f"made no distinguishable difference in {unsure}"] if unsure else []
    return f"Of {len(lines)} settings, unlabelled images {_joined(parts)}."


def _joined(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _forest(table: pd.DataFrame) -> Chart:
    lines = []
    for line in table.to_dict("records"):
        sets = _sets(line)
        for name, over in (("gain", ""), ("control_gain", ", over control")):
            if pd.isna(line.get(name)):
                continue
            who = "upper bound, " if line["role"] == "upper bound" else ""
            label = f"{who}{line['labelled'] if who else sets}{over}"
            ends = (line[f"{name}_low"], line[f"{name}_high"])
            sure = line[f"{name}_verdict"] != UNSURE
            lines.append((label, line[name], *ends, sure, line["role"]))
    caption = (
        "Gains in AP with 95 % intervals: of students (orange diamonds) over training without "
        "unlabelled images, and of upper bounds (green triangles), trained on the true labels of "
        "both sets. A hollow mark is not distinguishable from no gain."
    )
    return Chart(forest("Gains in AP", lines), caption, wide=True)


def _grid(run: FinishedRun, section: pd.DataFrame) -> Table:
    columns = [column for column in shown(PAGE, section) if column.heading not in _ELSEWHERE]
    columns.sort(key=lambda column: not column.heading.startswith(_FIRST))  # seen on a phone
    lines = section.to_dict("records")
    title = _sets(_student(section))
    href = next((f"#images-{each.key}" for each in run.settings if each.title == title), "")
    rows = [[_linked(column.heading, column.cell(x), href) for column in columns] for x in lines]
    for row, line in zip(rows, lines, strict=True):
        row[0] += f" ({line['labelled']})" if line["role"] == "upper bound" else ""
        texts = {str(key): "" if pd.isna(value) else str(value) for key, value in line.items()}
        for name in averaged(texts, run.specs, run.original)[:1]:
            row[0] = (row[0], f"#origin-{name}")
    headings = [column.heading.replace(" ± sd of seeds", " ± sd") for column in columns]
    return Table(headings, rows, f"{title}. AP leads to images, the training to its trace.")


def _linked(heading: str, cell: str, href: str) -> Any:
    cell = cell.replace(UNSURE, "@").replace(" ", _SPACE).replace(f"{_SPACE}@", f" {_UNSURE}")
    return (cell, href) if href and cell and heading.startswith(("AP [", "gain")) else cell


def _traced(run: FinishedRun, row: str) -> Any:
    """Return a row's name with the address of its trace; a table may name rows that are gone."""
    return (row, f"#origin-{row}") if row in run.specs else row


def _other_tables(run: FinishedRun) -> Iterator[Group]:
    for name in run.tables:
        table = run.table(name) if name in TITLES else None
        if table is None or table.empty:
            continue
        ours = table[table["role"] != "paper"]
        columns = shown(ABLATION_PAGE, ours)
        rows = [[column.cell(line) for column in columns] for line in ours.to_dict("records")]
        linked = [[_traced(run, row[0]), *row[1:]] for row in rows]
        grid = Table([column.heading for column in columns], linked, TITLES[name], numbers=2)
        yield Group(TITLES[name], [grid, Text(note(ours), tone="note")], open=False)
