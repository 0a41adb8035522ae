"""Where each number comes from: code, weights, data and machine of every row."""

import re
from collections.abc import Iterator
from typing import Any

from datastill.page.blocks import Code, Group, Section, Table
from datastill.page.finished_run import FinishedRun

_SHORT = 12  # digits of a digest
_COLUMNS = ("code", "weights", "val", "fingerprint", "device", "python", "torch", "torchvision")


def origins_section(run: FinishedRun) -> Section:
    """Return a table of provenance, and the trace of each row."""
    intro = (
        f"The command datastill trace ROW --profile {run.name} follows a number to its model, "
        "annotations, teacher, image sets and their source; its option --verify recomputes every "
        "digest."
    )
    return Section("origins", "Where the numbers come from", intro, [*_blocks(run)])


def _blocks(run: FinishedRun) -> Iterator[Any]:
    rows = []
    for row in run.specs:
        facts = run.metrics(row).get("provenance", {})
        if facts:
            cells = [str(facts.get(name, "-")) for name in _COLUMNS]
            digests = [_shortened(cell) for cell in cells[:4]]
            rows.append([(row, f"#origin-{row}"), *digests, *cells[4:]])
    caption = "Of each row's metrics; digests and commits are cut to 12 digits."
    yield Table(["row", *_COLUMNS], rows, caption, numbers=len(_COLUMNS) + 1)
    for row in run.specs:
        text = run.trace(row)
        yield Group(f"Trace of {row}", [Code(text)], open=False, id=f"origin-{row}")


def _shortened(text: str) -> str:
    """Return a digest or commit cut short, with what follows its `+`; other text as it is."""
    digits, plus, more = text.partition("+")
    return f"{digits[:_SHORT]}{plus}{more}" if re.fullmatch("[0-9a-f]+", digits) else text
