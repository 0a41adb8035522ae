"""Mirroring that no training waits for: in daemon threads, with failures told once and survived."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Self

from datastill.tracking.run_record import RunRecord
from datastill.tracking.store import Store, client_class
from datastill.tracking.sync import mirror

MOMENT_SECONDS = 2.0  # that leaving a Follower may take
_logger = logging.getLogger(__name__)


def mirror_patiently(store: Store, read_record: Callable[[], RunRecord]) -> bool:
    """Mirror what `read_record` returns; say whether that worked within `store.patience_seconds`.

    Nothing is ever raised, whatever becomes of the record or the store.
    """
    outcome: Future[str] = Future()

    def work() -> None:
        try:
            outcome.set_result(mirror(store, read_record()))
        except Exception as error:
            outcome.set_exception(error)

    # A thread of its own: Python waits at its exit for those of an executor.
    threading.Thread(target=work, name="mirror", daemon=True).start()
    try:
        outcome.result(store.patience_seconds)
    except TimeoutError:
        _warn(store, f"no answer within {store.patience_seconds:g} s")
        return False
    except Exception as error:
        _warn(store, error)
        return False
    return True


class Follower:
    """Mirrors a training while it lasts: `with Follower(store, read_record): train()`.

    A daemon thread calls `read_record` every few seconds and mirrors what it returns as RUNNING;
    its first failure is told and ends the following, never the training. An exception that leaves
    the block makes the run FAILED, Ctrl-C makes it KILLED; otherwise the caller mirrors the end.
    """

    def __init__(
        self, store: Store, read_record: Callable[[], RunRecord], every_seconds: float = 5.0
    ) -> None:
        self._store, self._read, self._every = store, read_record, every_seconds
        self._left = threading.Event()
        self._verdict = ""
        self._thread = threading.Thread(target=self._survive, name="follower", daemon=True)

    def __enter__(self) -> Self:
        # Not in the thread: a data worker forked in the middle of an import may wait for ever.
        client_class()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind:
            self._verdict = "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"
        self._left.set()
        self._thread.join(MOMENT_SECONDS)

    def _survive(self) -> None:
        try:
            self._follow()
        except Exception as error:
            _warn(self._store, error)

    def _follow(self) -> None:
        seen = None
        while not self._left.is_set():
            record = replace(self._read(), status="RUNNING")
            if record != seen:
                mirror(self._store, record)
            seen = record
            self._left.wait(self._every)
        if self._verdict:
            mirror(self._store, replace(self._read(), status=self._verdict))


def _warn(store: Store, reason: object) -> None:
    text = " ".join(str(reason).split())[:300]
    advice = "results are safe on disk; run `datastill track sync` later"
    _logger.warning("tracking %s: %s: %s", store.experiment, text, advice)
