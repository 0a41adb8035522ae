"""The expected quality of generated annotations in their card, and sentences on it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from datastill.evaluation.expected_quality import ExpectedQuality

POOR = 0.5  # an expected precision below it is warned of
_NAMED = 8  # categories in a warning


def expected_card(expected: ExpectedQuality, names: Mapping[int, str]) -> dict[str, Any]:
    """Return the expected quality as the card has it.

    names  of the categories by id; empty for keypoints, whose one category has no entry of its own
    """
    facts = asdict(expected)
    by_category = facts.pop("by_category")
    named = {names[n]: estimate for n, estimate in by_category.items() if names}
    return facts | ({"by_category": named} if names else {})


def shortfall(expected: ExpectedQuality | None, *, boxes: bool) -> str:
    """Return a sentence on a low or unknown expected precision, and what to do about it."""
    rule = "fixed" if boxes else "prior"  # one prior cannot serve every category
    precision = f"is {expected.precision:.2f}" if expected else "is unknown (nothing found on val)"
    return (
        f"the expected precision of the annotations {precision}: train the teacher longer, label "
        f"more images, or raise the threshold with select.instances: {rule}"
    )


def shortfalls(expected: ExpectedQuality | None, names: Mapping[int, str]) -> Iterator[str]:
    """Yield a sentence if most annotations, or most of some categories, are expected to be wrong.

    names  of the categories by id; empty for keypoints
    """
    if expected is None or expected.precision < POOR:
        yield shortfall(expected, boxes=bool(names))
    elif poor := [
        f"{names[number]} ({estimate.precision:.2f})"
        for number, estimate in expected.by_category.items()
        if names and estimate.precision < POOR
    ]:
        more = [f"and {len(poor) - _NAMED} more"] if len(poor) > _NAMED else []
        yield f"expected to be wrong more often than right: {', '.join([*poor[:_NAMED], *more])}"


def quality_line(card: Mapping[str, Any]) -> str:
    """Return a line on the expected quality of a row and, if known, on the true one."""
    expected, quality = card["expected"], card["quality"]
    parts = ["expected precision unknown: the teacher finds nothing on val"]
    if expected:
        ends = (expected["precision_interval"], expected["recall_interval"])
        (low, high), (lowest, highest) = ends
        parts = [
            f"expected precision {expected['precision']:.2f} [{low:.2f}, {high:.2f}], "
            f"recall {expected['recall']:.2f} [{lowest:.2f}, {highest:.2f}]"
        ]
    if quality:
        values = (quality[f"{name}50"] for name in ("precision", "recall"))
        precision, recall = ("none" if value is None else f"{value:.2f}" for value in values)
        parts.append(f"true precision {precision}, recall {recall}")
    return f"{card['row']}: {'; '.join(parts)}"
