"""Workers that let go at once: what waits in their queue is dropped when somebody says stop."""

from __future__ import annotations

from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from types import TracebackType


class _LetsGo(Executor):
    """An executor that, left by an error or a signal, starts nothing that is not begun."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown(wait=True, cancel_futures=kind is not None)


class Processes(_LetsGo, ProcessPoolExecutor):
    """Processes that work side by side."""


class Threads(_LetsGo, ThreadPoolExecutor):
    """Threads that work side by side."""
