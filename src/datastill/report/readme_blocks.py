"""Generated blocks: the parts of a Markdown file that results write and no one edits by hand."""

from __future__ import annotations

import re
from pathlib import Path

from datastill.errors import DataError
from datastill.io import write_text

CLOSING = "<!-- /generated -->"


def update_block(path: Path, name: str, content: str) -> bool:
    """Replace what stands between `<!-- generated: NAME -->` and `<!-- /generated -->`.

    Returns whether the file changed; a file without such a block stays as it is.
    Raises DataError where the block is opened and not closed.
    """
    text = path.read_text(encoding="utf-8")
    if _found(path, name, text) is None:
        return False
    block = f"{_opening(name)}\n{content.strip()}\n{CLOSING}"
    changed = _pattern(name).sub(lambda _: block, text)
    if changed != text:
        write_text(path, changed)
    return changed != text


def read_block(path: Path, name: str) -> str:
    """Return what stands in the block `name`, without the blank space around it.

    Raises DataError where the file has no such block.
    """
    found = _found(path, name, path.read_text(encoding="utf-8"))
    if found is None:
        raise DataError(f"{path}: expected a block {_opening(name)} ... {CLOSING}, found none")
    return found[1].strip()


def _opening(name: str) -> str:
    return f"<!-- generated: {name} -->"


def _pattern(name: str) -> re.Pattern[str]:
    # a body never holds another opening, so a block left open does not swallow the next one
    body = r"((?:(?!<!-- generated: ).)*?)"
    return re.compile(re.escape(_opening(name)) + body + re.escape(CLOSING), re.DOTALL)


def _found(path: Path, name: str, text: str) -> re.Match[str] | None:
    found = _pattern(name).search(text)
    if found is None and _opening(name) in text:
        raise DataError(f"{path}: block {_opening(name)} is not closed; end it with {CLOSING}")
    return found
