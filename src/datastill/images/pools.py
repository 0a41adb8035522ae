"""Pools of workers that drop their queue on an error or a signal."""

from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any


class _Cancelling(Executor):
    """An executor that, if its context is left by an exception, cancels what has not begun."""

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self.shutdown(wait=True, cancel_futures=kind is not None)


class Processes(_Cancelling, ProcessPoolExecutor):
    """A pool of processes."""


class Threads(_Cancelling, ThreadPoolExecutor):
    """A pool of threads."""
