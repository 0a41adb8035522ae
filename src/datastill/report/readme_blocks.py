"""Generated blocks: the parts of a Markdown file that are written from results."""

import re
from pathlib import Path

from datastill.errors import DataError
from datastill.io import write_text

CLOSING = "<!-- /generated -->"


def update_block(path: Path, name: str, content: str) -> bool:
    """Replace the text between `<!-- generated: NAME -->` and `<!-- /generated -->`.

    Returns whether the file changed; a file without such a block stays as it is.
    Raises DataError if the block is opened but not closed.
    """
    text, opening = path.read_text(encoding="utf-8"), f"<!-- generated: {name} -->"
    if opening not in text:
        return False
    # a body never contains another opening, so an unclosed block does not swallow the next one
    pattern = f"{re.escape(opening)}(?:(?!<!-- generated: ).)*?{re.escape(CLOSING)}"
    block = f"{opening}\n{content.strip()}\n{CLOSING}"
    changed, blocks = re.subn(pattern, lambda _: block, text, flags=re.DOTALL)
    if not blocks:
        raise DataError(f"{path}: block {opening} is not closed; end it with {CLOSING}")
    if changed != text:
        write_text(path, changed)
    return changed != text
