"""Worker pools that drop their queue on an error or an interrupt."""

from __future__ import annotations

from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any


class _DropsItsQueue(Executor):
    """An executor that, left by an error or a signal, starts no further task."""

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self.shutdown(wait=True, cancel_futures=kind is not None)


class Processes(_DropsItsQueue, ProcessPoolExecutor):
    """A pool of processes."""


class Threads(_DropsItsQueue, ThreadPoolExecutor):
    """A pool of threads."""
