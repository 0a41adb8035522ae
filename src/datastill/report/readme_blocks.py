"""Generated blocks: the parts of a Markdown file that are written from results."""

import re
from pathlib import Path

from datastill.errors import DataError
from datastill.io import write_text

CLOSING = "<!-- /generated -->"
# a body never contains another opening, so an unclosed block does not swallow the next one
BODY = rf"(?:(?!<!-- generated: ).)*?{re.escape(CLOSING)}"


def read_blocks(path: Path) -> list[tuple[str, str]]:
    """Return the name and the text of every generated block, [] if there is no such file.

    Raises DataError if a block is opened but not closed.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    blocks = []
    for opening in re.finditer("<!-- generated: (.+?) -->", text):
        body = re.compile(BODY, re.DOTALL).match(text, opening.end())
        if not body:
            raise _unclosed(path, opening[0])
        blocks.append((opening[1], body[0].removesuffix(CLOSING).strip()))
    return blocks


def update_block(path: Path, name: str, content: str) -> bool:
    """Replace the text between `<!-- generated: NAME -->` and `<!-- /generated -->`.

    Returns whether the file changed; a file without such a block stays as it is.
    Raises DataError if the block is opened but not closed.
    """
    text, opening = path.read_text(encoding="utf-8"), f"<!-- generated: {name} -->"
    if opening not in text:
        return False
    block = f"{opening}\n{content.strip()}\n{CLOSING}"
    pattern = re.escape(opening) + BODY
    changed, blocks = re.subn(pattern, lambda _: block, text, flags=re.DOTALL)
    if not blocks:
        raise _unclosed(path, opening)
    if changed != text:
        write_text(path, changed)
    return changed != text


def _unclosed(path: Path, opening: str) -> DataError:
    return DataError(f"{path}: block {opening} is not closed; end it with {CLOSING}")
