"""Command `readme`: the generated blocks of the pages, from the tables and claims."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from datastill.errors import DataError
from datastill.project.measured_claims import CLAIMS, claim_specs, measured
from datastill.report.claim_text import evidence, summary
from datastill.report.claims import Claim
from datastill.report.readme_blocks import read_blocks, update_block

README, RESULTS = Path("README.md"), Path("results/README.md")


def run() -> str:
    """Renew every block and return a line for each, or one that says that there is none.

    A block that is current stays as it is. Raises DataError if the cell of a claim or the file of a
    block does not exist.
    """
    claims = [measured(name, spec) for name, spec in claim_specs().items()]
    lines = []
    for page, name, _ in blocks():
        renewed = update_block(page, name, content(page, name, claims))
        lines.append(f"{'renewed' if renewed else 'current'} {page}: {name}")
    return "\n".join(lines) or f"nothing to renew: no generated block in {README} or {RESULTS}"


def blocks() -> Iterator[tuple[Path, str, str]]:
    """Yield the page, the name and the present text of every generated block."""
    for page in (README, RESULTS):
        try:
            listed = read_blocks(page)
        except UnicodeDecodeError as error:
            raise DataError(f"{page}: expected UTF-8, found {error}; save it as UTF-8") from None
        for name, text in listed:
            yield page, name, text


def content(page: Path, name: str, claims: Sequence[Claim]) -> str:
    """Return the text of a block: the claims, or else the file that it is named after."""
    if name == CLAIMS.as_posix():
        listed = enumerate(items(page, claims).values(), start=1)
        return "\n".join(f"{'-' if page == README else f'{n}.'} {item}" for n, item in listed)
    if not Path(name).is_file():
        raise DataError(f"{page}: block {name}: no such file; the stage `tables` writes tables")
    return Path(name).read_text(encoding="utf-8").strip()


def items(page: Path, claims: Sequence[Claim]) -> dict[str, str]:
    """Return the text of each claim on a page, by name: README.md shows some, without evidence."""
    if page == README:
        return {claim.name: summary(claim, page.parent) for claim in claims if claim.readme}
    return {claim.name: evidence(claim, page.parent) for claim in claims}
