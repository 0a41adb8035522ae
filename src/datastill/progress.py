"""How far a stage is: a bar with the time left on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_SECONDS_BETWEEN_LINES = 15


class Steps:
    """A context in which `advance` counts towards `total`."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done, self._note = what, total, 0, ""
        self._before = 0
        self._console = Console(stderr=True)
        self._began = self._spoke = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        times = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        self._bar = Progress(*columns, *times, console=self._console)
        self._task = self._bar.add_task(what, total=total, note="")

    def __enter__(self) -> Steps:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()
        elif kind is None:
            self._say(f"done in {time.monotonic() - self._began:.0f} s")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count `steps` more as done; `note` stands behind the bar."""
        self._done += steps
        self._note = note
        if self._console.is_terminal:
            self._bar.update(self._task, completed=self._done, note=note)
        elif time.monotonic() - self._spoke > _SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            mine = max(1, self._done - self._before)
            left = (self._total - self._done) * (self._spoke - self._began) / mine
            self._say(f"about {left:.0f} s left")

    def start_at(self, done: int) -> None:
        """Count what an earlier run has done, without taking it for speed."""
        self._done = self._before = done
        self._bar.update(self._task, completed=done)

    def _say(self, what: str) -> None:
        line = f"{self._what}: {self._done} of {self._total}, {what} {self._note}"
        self._console.print(line.rstrip(), highlight=False, soft_wrap=True)
