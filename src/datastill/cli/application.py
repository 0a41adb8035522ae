"""The application that commands join, and what becomes of a user's mistakes."""

from __future__ import annotations

import errno
import gc
import importlib
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from datastill.errors import DatastillError

app = typer.Typer(
    help="Data distillation: better detectors from labelled images and more unlabelled ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
track = typer.Typer(help="MLflow as a mirror of the results on disk.", no_args_is_help=True)
app.add_typer(track, name="track")
fetch = typer.Typer(help="Public image sets, from their own servers.", no_args_is_help=True)
app.add_typer(fetch, name="fetch")

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
_IN_THE_WAY = (errno.EISDIR, errno.EEXIST, errno.ENOTDIR)

Profile = Annotated[
    str, typer.Option("--profile", "-p", help="miniature, or the name of a folder in pipelines/.")
]
Seeded = Annotated[
    str | None,
    typer.Option(
        "--spread",
        help="A profile with several seeds: how far chance moves a value. "
        "By default the profile's own, or what `run --seeds` made of it.",
    ),
]
Row = Annotated[str, typer.Argument(help="A row of params.yaml, such as co-35_co-80.")]


def stage(name: str, profile: str, *arguments: str | Path | float | None) -> Any:
    """Run a stage or command; its modules are imported only now, so that --help is quick."""
    opened = imported("project.profile").open_profile(profile)
    return imported(name).run(opened, *arguments)


def row_stage(name: str, profile: str, row: str) -> None:
    """Run a stage on a row, once the images that it reads are there again."""
    opened = imported("project.profile").open_profile(profile)
    restore = imported("commands.restore")
    if name == "stages.evaluate":
        restore.for_val(opened)
    else:
        restore.for_row(opened, row)
    imported(name).run(opened, row)


def imported(name: str) -> Any:
    """Import a module of stages; all that it loads lives on, so no garbage is looked for."""
    gc.disable()  # looking for it is a fifth of the time that torch takes to import
    try:
        return importlib.import_module(f"datastill.{name}")
    finally:
        gc.enable()


def main() -> None:
    """Run the command line; a mistake of the user's costs one message, no traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    signal.signal(signal.SIGTERM, _stop)
    try:
        app()
    except DatastillError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in _NO_ROOM + _IN_THE_WAY:
            raise
        where = f"{error.filename2 or error.filename}: " if error.filename else ""
        advice = "move it away" if error.errno in _IN_THE_WAY else "make room or give leave"
        _fail(f"{where}{error.strerror}; {advice}, and the same command goes on")


def _stop(*_: object) -> None:
    _fail("stopped by SIGTERM; the same command goes on where it was")


def _fail(message: str) -> None:
    typer.echo(f"datastill: {message}", err=True)
    sys.exit(1)
