"""Progress of all stages: a live table on a terminal, elsewhere a line per finished stage."""

from collections.abc import Collection
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from datastill.scheduler.jobs import Job


class LiveView:
    """A context in which `show` refreshes the table and `log` prints lines that stay."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, done: int, running: Collection[Job]) -> None:
        """Show how many stages are done and the last line of each running one's log."""
        if not self._console.is_terminal:
            return
        table = Table.grid(padding=(0, 2), expand=True)
        for justify in ("left", "right", "left"):
            table.add_column(no_wrap=True, justify=justify)
        table.add_column(ratio=1)
        for job in running:
            gpu = f"gpu {job.device}" if job.device else ""
            line = Text(job.last_line(), style="dim", no_wrap=True, overflow="ellipsis")
            table.add_row(Text(job.stage, style="bold"), f"{job.seconds():.0f} s", gpu, line)
        head = Table.grid(padding=(0, 2))
        head.add_row(f"{done} of {self._total} stages", ProgressBar(self._total, done, width=40))
        self._live.update(Group(head, table))

    def log(self, line: str) -> None:
        """Print a line above the table."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
