"""How far all stages are: a table that lives on a terminal, elsewhere a line as one ends."""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from datastill.scheduler.jobs import Job


class Board:
    """A context in which `show` renews the view, and `tell` says what shall stay."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Board:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, done: int, running: Collection[Job]) -> None:
        """Show how many stages are done and what the running ones said last."""
        if not self._console.is_terminal:
            return
        table = Table.grid(padding=(0, 2), expand=True)
        for number, job in enumerate(running):
            where = f"gpu {job.device}" if job.device else ""
            line = Text(job.last_line(), style="dim", no_wrap=True, overflow="ellipsis")
            if not number:
                table.add_column(no_wrap=True)
                table.add_column(no_wrap=True, justify="right")
                table.add_column(no_wrap=True)
                table.add_column(ratio=1)
            table.add_row(Text(job.stage, style="bold"), f"{job.seconds():.0f} s", where, line)
        head = Table.grid(padding=(0, 2))
        head.add_row(f"{done} of {self._total} stages", ProgressBar(self._total, done, width=40))
        self._live.update(Group(head, table))

    def tell(self, line: str) -> None:
        """Print a line above the view."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
