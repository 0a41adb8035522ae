"""The typer application, lazy calls of stages and commands, and one message per user error."""

import ctypes
import errno
import gc
import importlib
import logging
import signal
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from datastill.errors import DatastillError
from datastill.progress import escaped

app = typer.Typer(
    help="Data distillation: better detectors from labelled and unlabelled images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
_IN_THE_WAY = (errno.EISDIR, errno.EEXIST, errno.ENOTDIR)
_M_ARENA_MAX = -8  # of glibc's malloc.h

Profile = Annotated[
    str, Option("--profile", "-p", help="miniature, or the name of a folder in pipelines/.")
]
SeedProfile = Annotated[
    str | None,
    Option(
        "--spread",
        help="A profile with several seeds per row, whose standard deviation sets the tolerance. "
        "Default: this profile if it has several, else the one that `run --seeds` made from it.",
    ),
]
ProfileArgument = Annotated[str, Argument(help="miniature, or the name of a folder in pipelines/.")]
Row = Annotated[str, Argument(help="A row of params.yaml, such as co-35_co-80.")]


def call(name: str, profile: str, *arguments: str | Path | float | None) -> Any:
    """Run a stage or command on a profile, importing its modules only now to keep --help fast."""
    opened = _open(name, profile)
    with _locked(name, opened, *arguments[:1]):
        if name == "stages.report":
            lazy_import("commands.restore").for_page(opened)
        return lazy_import(name).run(opened, *arguments)


def call_on_row(name: str, profile: str, row: str, *arguments: Any) -> Any:
    """Run a stage or command on a row, after restoring any images it reads that are missing."""
    opened = _open(name, profile)
    restore = lazy_import("commands.restore")
    with _locked(name, opened, row):
        if name in ("stages.annotate", "stages.evaluate"):
            restore.restore(opened, ["val"])
        if name != "stages.evaluate":
            restore.for_row(opened, row)
        return lazy_import(name).run(opened, row, *arguments)


def _locked(name: str, opened: Any, item: Any = None) -> AbstractContextManager[None]:
    """Return the lock of a stage, of its row or other `item` if it has one; commands have none."""
    package, _, stage = name.partition(".")
    if package != "stages":
        return nullcontext()
    return lazy_import("project.stage_lock").lock_stage(opened, stage, item or "")


def _open(name: str, profile: str) -> Any:
    if name.startswith("stages."):
        lazy_import("project.release").check_release()
    return lazy_import("project.profile").open_profile(profile)


def lazy_import(name: str) -> Any:
    """Import a module of the package; from then on garbage collection skips what is loaded."""
    gc.disable()  # collecting takes a fifth of the time of importing torch, and would free nothing
    try:
        return importlib.import_module(f"datastill.{name}")
    finally:
        gc.freeze()
        gc.enable()


def report(text: str, passed: bool, coloured: bool = False) -> None:
    """Print `text`; exit 1 if the check that it reports on failed.

    Its control characters are escaped, unless it is `coloured`: they are its colours.
    """
    typer.echo(text.encode("utf-8", "backslashreplace").decode() if coloured else escaped(text))
    if not passed:
        raise typer.Exit(1)


def echo(text: object) -> None:
    """Print `text` with its control characters escaped."""
    typer.echo(escaped(str(text)))


class _Escaped(logging.Formatter):
    """Log lines whose control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))


def main() -> None:
    """Run the command line; a user error prints one message, without a traceback, and exits 1."""
    _allocate_from_one_arena()
    handler = logging.StreamHandler()
    handler.setFormatter(_Escaped("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("datastill").setLevel(logging.INFO)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _stop)
    try:
        app()
    except DatastillError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in _NO_ROOM + _IN_THE_WAY:
            raise
        in_the_way = error.errno in _IN_THE_WAY
        advice = "move it away" if in_the_way else "free disk space or fix permissions"
        where = f"{error.filename2 or error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror}; {advice}, then run the same command again")
    finally:
        _prepare_exit()


def _allocate_from_one_arena() -> None:
    """Let all threads share one arena: those that glibc gives each of them fragment."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # where libc is not glibc
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _prepare_exit() -> None:
    """Spare a process the garbage collection as it exits, a second where torch is loaded.

    Not where triton is loaded, whose bindings would report every object that is left.
    """
    if "triton" in sys.modules:
        gc.unfreeze()
    else:
        gc.freeze()


def _stop(number: int, _: object) -> None:
    _fail(f"stopped by {signal.Signals(number).name}; run the same command again to resume")


def _fail(message: str) -> None:
    typer.echo(escaped(f"datastill: {message}"), err=True)
    sys.exit(1)
