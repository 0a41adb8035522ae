"""Sentences about results: claims whose every number is quoted from a cell of a table."""

import os
import re
from pathlib import PurePath

from datastill.errors import DataError
from datastill.report.claims import IN_PART, Cell, Claim, ascending

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# digits that a sentence may contain: those of names, never those of results
NAMES = re.compile(r"\b(?:co|un|s1m)-\d+\b|\b18 views\b|\b(?:table|figure|section) \d\b", re.I)


def sentence(claim: Claim, template: str | None = None) -> str:
    """Return `says`, or another template, with every placeholder filled in.

    Raises DataError if `says` has a number of its own, or a placeholder without a cell.
    """
    if template is None and (digits := stray_digits(claim.says)):
        raise DataError(f"says: expected a placeholder for every number, found {digits}")
    values = {"verdict": in_words(claim.verdict)} | (
        {"seeds": _seeds(claim)} if claim.seeds else {}
    )
    for name, cell in {**claim.cells, **claim.quoted}.items():
        values |= {name: cell.with_interval(), f"{name}.value": cell.text()}

    def fill(placeholder: re.Match[str]) -> str:
        if placeholder[1] not in values:
            raise DataError(f"no cell for {placeholder[0]}; there are {', '.join(values)}")
        return values[placeholder[1]]

    return PLACEHOLDER.sub(fill, claim.says if template is None else template)


def stray_digits(says: str) -> str:
    """Return the words of a template with digits outside placeholders and names, "" if none."""
    own = NAMES.sub(" ", PLACEHOLDER.sub(" ", says)).split()
    return ", ".join(word for word in own if any(map(str.isnumeric, word)))


def in_words(verdict: str) -> str:
    """Return a verdict as it reads in a sentence."""
    return "reproduced in part" if verdict == IN_PART else verdict


def _seeds(claim: Claim) -> str:
    """Return in which seeds an order holds, such as "in 2 of 3 seeds, not in seed 1"."""
    wrong = [str(seed) for seed, values in claim.seeds.items() if not ascending(values)]
    count = len(claim.seeds)
    if not wrong:
        return f"in each of {count} seeds"
    if len(wrong) == count:
        return f"in none of {count} seeds"
    *first, last = wrong
    named = f"seeds {', '.join(first)} and {last}" if first else f"seed {last}"
    return f"in {count - len(wrong)} of {count} seeds, not in {named}"


def summary(claim: Claim, folder: PurePath) -> str:
    """Return a claim as a list item of a page in `folder`: verdict, sentence, paper, links."""
    links = ", ".join(_link(table, folder) for table in _by_table(claim))
    return f"{_opening(claim)} ({links})"


def evidence(claim: Claim, folder: PurePath) -> str:
    """Return the summary, with every number that the claim rests on beside its link."""
    measured = "; ".join(
        f"{_link(table, folder)}: "
        + "; ".join(f"{name} {cell.exact()}" for name, cell in cells.items())
        for table, cells in _by_table(claim).items()
    )
    seeds = "".join(
        f"; seed {seed}: {' '.join(f'{value:.2f}' for value in values)}"
        for seed, values in claim.seeds.items()
    )
    return f"{_opening(claim)} Measured, {measured}{seeds}."


def _opening(claim: Claim) -> str:
    verdict = in_words(claim.verdict).capitalize()
    return f"**{verdict}.** {sentence(claim)} Paper: {sentence(claim, claim.paper)}."


def _by_table(claim: Claim) -> dict[str, dict[str, Cell]]:
    tables: dict[str, dict[str, Cell]] = {}
    for name, cell in {**claim.cells, **claim.quoted}.items():
        tables.setdefault(cell.table, {})[name] = cell
    return tables


def _link(table: str, folder: PurePath) -> str:
    path = PurePath(table).with_suffix(".md")
    return f"[{path.parent.name}/{path.stem}]({PurePath(os.path.relpath(path, folder)).as_posix()})"
