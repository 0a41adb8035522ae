"""Atomic writes, file digests, JSON that others wrote, and whether a writer is alive."""

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datastill.errors import DataError

_DEEPEST, _MOST_VALUES, _LARGEST = 50, 10_000_000, 1e300  # of YAML
_LONG = re.compile(r"[0-9]{300}")  # digits: a float holds no such number
_ESCAPE = re.compile(  # in JSON: of both halves of a character; of one, in a group; any other
    r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]|(u[dD][89a-fA-F]..)|.)"
)


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


def is_alive(process: int) -> bool:
    """Return whether a process of this machine has that number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        pass
    return True


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, making its folder."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def digest(path: Path) -> str:
    """Return the SHA-256 of the file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: Path) -> None:
    """Raise OSError for a pipe or a device, which may have no end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a pipe or a device", str(path))


def read_json(path: Path, expected: str = "JSON", advice: str = "make it again") -> Any:
    """Return the content of a JSON file in UTF-8.

    Raises DataError, naming the file and what was `expected`, with `advice` on what to do, if it is
    absent, unreadable, damaged or nested thousands deep, or has a whole number or text that no file
    of datastill can hold.
    """
    try:
        check_file(path)
        return parse_json(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {advice}") from None
    except OSError as error:
        raise DataError(f"{path}: not a readable file: {error.strerror}; {advice}") from None
    except ValueError as error:
        reason = f"expected {expected}, found other text: {error}"
        raise DataError(f"{path}: {reason}; {advice}") from None


def parse_json(text: str) -> Any:
    """Return the content of JSON; raises ValueError for what `read_json` refuses."""
    try:
        content = json.loads(text, parse_int=_whole if _LONG.search(text) else None)
    except RecursionError:
        raise ValueError("lists in lists, thousands deep") from None
    if half := next((each for each in _ESCAPE.finditer(text) if each[1]), None):
        raise json.JSONDecodeError(f"Half a character, {half[0]}", text, half.start())
    return content


def check_extent(content: Any) -> None:
    """Raise ValueError if YAML's `content` is deep or, its aliases written out, without end.

    Also, as for JSON, if it has a whole number or text that no file of datastill can hold.
    """
    _extent(content, 0, {})


def _extent(content: Any, depth: int, known: dict[int, int]) -> int:
    """Return the number of values in `content`, with those `known` by id."""
    if isinstance(content, str):
        content.encode()
    if isinstance(content, int) and abs(content) > _LARGEST:
        raise ValueError(f"a whole number above {_LARGEST:.0e}")
    if not isinstance(content, dict | list):
        return 1
    if depth > _DEEPEST:
        raise ValueError(f"lists or sections more than {_DEEPEST} deep")
    if id(content) not in known:
        parts = (*content, *content.values()) if isinstance(content, dict) else content
        known[id(content)] = sum(_extent(part, depth + 1, known) for part in parts)
        if known[id(content)] > _MOST_VALUES:
            raise ValueError(f"aliases that stand for more than {_MOST_VALUES:,} values")
    return known[id(content)]


def _whole(digits: str) -> int:
    if len(digits) > 300:
        raise ValueError(f"a whole number of {len(digits):,} digits")
    return int(digits)
