"""Folders that a user names for what a command writes."""

from pathlib import Path
from tempfile import TemporaryFile

from datastill.errors import ParamsError


def make_folder(folder: Path) -> None:
    """Make `folder`, and write to it before hours of work; raises ParamsError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = f"this folder cannot be made or written to: {error.strerror}"
        raise ParamsError(f"{folder}: {reason}; choose another") from None
