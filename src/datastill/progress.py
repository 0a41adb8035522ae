"""Progress of a stage: on a terminal a bar with the time left, elsewhere occasional lines."""

import logging
import time
from functools import cache
from typing import Any, Self

from rich import progress
from rich.console import Console

_log = logging.getLogger(__name__)


def escaped(text: str) -> str:
    """Return `text` for a terminal: control characters and half characters as Python writes them.

    Names of files and categories may have some, that would move the cursor or recolour the rest.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def on_one_line(text: str) -> str:
    """Return `escaped` text whose line breaks and tabs are escaped too, for a cell of a table."""
    return escaped(text).replace("\n", "\\n").replace("\t", "\\t")


class Steps:
    """A context in which `advance` counts towards `total`."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total, self._done, self._note = label, total, 0, ""
        self._before = 0  # done by an earlier run
        self._console = Console(stderr=True)
        self._began = self._reported = time.monotonic()
        bar = (progress.TextColumn("{task.description}", markup=False), progress.BarColumn())
        counts = (progress.MofNCompleteColumn(), progress.TimeElapsedColumn())
        notes = progress.TextColumn("{task.fields[note]}", markup=False)
        rest = (progress.TimeRemainingColumn(), notes)
        self._bar = progress.Progress(*bar, *counts, *rest, console=self._console)
        self._task = self._bar.add_task(label, total=total, note="")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if self._console.is_terminal:
            self._bar.stop()
        elif kind is None:
            self._report(f"done in {time.monotonic() - self._began:.0f} s")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count `steps` more as done; `note` is shown after the bar."""
        self._done, self._note = self._done + steps, note
        if self._console.is_terminal:
            self._bar.update(self._task, completed=self._done, note=note)
        elif time.monotonic() - self._reported > 15:  # seconds
            self._reported = time.monotonic()
            seconds = (self._reported - self._began) / max(1, self._done - self._before)
            self._report(f"about {(self._total - self._done) * seconds:.0f} s left")

    def start_at(self, done: int) -> None:
        """Count what an earlier run has done, without including it in the speed."""
        self._done = self._before = done
        self._bar.update(self._task, completed=done)

    def _report(self, text: str) -> None:
        line = f"{self._label}: {self._done} of {self._total}, {text} {self._note}"
        self._console.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)


@cache
def note_once(text: str) -> None:
    """Log `text` the first time only: a stage reads the same file several times."""
    _log.warning(text)
