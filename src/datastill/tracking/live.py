"""Mirroring in daemon threads: no training run waits for it; a failure causes one warning."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from datastill.project.profile import Profile
from datastill.tracking.run_record import RunRecord, read_record, report_record
from datastill.tracking.store import Store, client_class
from datastill.tracking.sync import mirror

MOMENT_SECONDS = 2.0  # how long `follow` may take to end
_logger = logging.getLogger(__name__)


def mirror_row(profile: Profile, row: str) -> bool:
    """Mirror `row`; return False, with a warning, if MLflow does not respond in time."""
    return mirror_patiently(Store.of(profile), lambda: read_record(profile, row))


def mirror_report(profile: Profile) -> bool:
    """Mirror the profile's page, if there is one, as `mirror_row` does."""
    record = report_record(profile)
    return not profile.report.is_file() or mirror_patiently(Store.of(profile), lambda: record)


def follow_row(profile: Profile, row: str) -> AbstractContextManager[None]:
    """Return a context that mirrors the training run of `row` while it lasts."""
    return follow(Store.of(profile), lambda: read_record(profile, row))


def mirror_patiently(store: Store, read: Callable[[], RunRecord]) -> bool:
    """Mirror what `read` returns; return whether that worked within `store.patience_seconds`.

    Never raises, even if the record or the store fails.
    """
    run_ids: list[str] = []
    late = threading.Event()
    thread = _start(store, lambda: run_ids.append(mirror(store, read())), late)
    thread.join(store.patience_seconds)
    if thread.is_alive():
        late.set()
        _warn(store, f"no answer within {store.patience_seconds:g} s")
    return bool(run_ids) and not late.is_set()


@contextmanager
def follow(
    store: Store, read: Callable[[], RunRecord], every_seconds: float = 5.0
) -> Iterator[None]:
    """Mirror what `read` returns as RUNNING, every few seconds, while the block runs.

    The first failure is logged and ends the mirroring, not the block. An exception that leaves
    the block makes the run FAILED, Ctrl-C makes it KILLED; otherwise the caller mirrors the end.
    """
    client_class()  # not in the thread: a data worker forked during an import may hang forever
    ended, status = threading.Event(), ""

    def work() -> None:
        previous = None
        while not ended.is_set():
            record = replace(read(), status="RUNNING")
            if record != previous:
                mirror(store, record)
            previous = record
            ended.wait(every_seconds)
        if status:
            mirror(store, replace(read(), status=status))

    thread = _start(store, work)
    try:
        yield
    except BaseException as error:
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        raise
    finally:
        ended.set()
        thread.join(MOMENT_SECONDS)


def _start(
    store: Store, work: Callable[[], None], silent: threading.Event | None = None
) -> threading.Thread:
    """Start `work` in a thread that Python does not wait for on exit; log its failure.

    Once `silent` is set, a failure goes unlogged: there has been a warning already.
    """

    def survive() -> None:
        try:
            work()
        except Exception as error:
            if not (silent and silent.is_set()):
                _warn(store, error)

    thread = threading.Thread(target=survive, daemon=True)
    thread.start()
    return thread


def _warn(store: Store, reason: object) -> None:
    text = " ".join(str(reason).split())[:300]
    advice = "results are safe on disk; run `datastill track sync` later"
    _logger.warning("tracking %s: %s: %s", store.experiment, text, advice)
