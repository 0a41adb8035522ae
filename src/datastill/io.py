"""Atomic writes and file digests."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic(path: Path, suffix: str = ".partial") -> Iterator[Path]:
    """Create the folder of `path` and yield a partial path beside it to write to.

    The partial file replaces `path` on success and is removed on an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + suffix)
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, making its folder."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def digest(path: Path) -> str:
    """Return the SHA-256 of the file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
