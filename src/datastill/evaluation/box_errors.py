"""Errors of boxes by kind, and the AP that each costs (TIDE, ECCV 2020)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datastill.evaluation.bootstrap import RECALLS
from datastill.evaluation.image_pairs import NEAR, RIGHT, ImagePairs

KINDS = ("class", "location", "class and location", "duplicate", "background", "missed")


@dataclass
class _Judged:
    """The detections and objects of all images.

    lines   of each detection: category, score, right, kind of error or "", the index of the object
            that it would find if corrected, or -1, and that object's category
    truths  objects by category
    missed  of them, those without a detection of the wrong class or place
    """

    lines: list[tuple[int, float, bool, str, int, int]] = field(default_factory=list)
    truths: Counter[int] = field(default_factory=Counter)
    missed: Counter[int] = field(default_factory=Counter)
    objects: int = 0


def box_errors(images: Iterable[ImagePairs]) -> dict[str, tuple[int, float]]:
    """Return the number of errors of each of KINDS, and how much AP50 would rise without them.

    A wrong class or location is corrected, unless the object has its detection already; all other
    false detections are removed; missed objects do not count. One correction at a time.
    """
    judged = _Judged()
    for pairs in images:
        _judge(pairs, judged)
    before = _average_precision(judged, "")
    counts = Counter(kind for *_, kind, _, _ in judged.lines)
    counts["missed"] = judged.missed.total()
    return {kind: (counts[kind], _average_precision(judged, kind) - before) for kind in KINDS}


def _judge(pairs: ImagePairs, judged: _Judged) -> None:
    partners = pairs.partners()
    used = np.isin(np.arange(len(pairs.truths)), partners)
    categories = [truth["category_id"] for truth in pairs.truths]
    explained = used.copy()
    for index, detection in enumerate(pairs.detections):
        kind, target = "", -1
        if partners[index] < 0:
            kind, target = _kind(pairs.similarity[index], pairs.same[index], used)
        if kind in ("class", "location"):
            explained[target] = True
        fixable = target >= 0 and not used[target]
        judged.lines.append((
            detection["category_id"], detection["score"], partners[index] >= 0, kind,
            judged.objects + target if fixable else -1, categories[target] if fixable else 0,
        ))  # fmt: skip
    judged.truths.update(categories)
    judged.missed.update(c for c, known in zip(categories, explained, strict=True) if not known)
    judged.objects += len(categories)


def _kind(
    similarity: NDArray[np.float64], same: NDArray[np.bool_], used: NDArray[np.bool_]
) -> tuple[str, int]:
    """Return the kind of a false detection, and the object that it is an error about, or -1."""
    if not len(similarity) or similarity.max() < NEAR:
        return "background", -1
    own, other = np.where(same, similarity, 0), np.where(same, 0, similarity)
    if NEAR <= own.max() < RIGHT:
        return "location", int(own.argmax())
    if other.max() >= RIGHT:
        return "class", int(other.argmax())
    if (own * used).max() >= RIGHT:
        return "duplicate", -1
    return "class and location", -1


def _average_precision(judged: _Judged, corrected: str) -> float:
    """Return AP50 in percent, with the errors of one kind `corrected`."""
    by_category: dict[int, list[tuple[float, bool]]] = {}
    repaired: set[int] = set()
    for category, score, right, kind, target, true_category in sorted(
        judged.lines, key=lambda line: -line[1]
    ):
        if kind and kind == corrected:
            if target < 0 or target in repaired:
                continue
            repaired.add(target)
            category, right = true_category, True
        by_category.setdefault(category, []).append((score, right))
    values = []
    for category, count in judged.truths.items():
        count -= judged.missed[category] if corrected == "missed" else 0
        if count:
            hits = np.array([each for _, each in by_category.get(category, [])], dtype=bool)
            values.append(_interpolated(hits, count))
    return 100 * float(np.mean(values)) if values else 0.0


def _interpolated(right: NDArray[np.bool_], count: int) -> float:
    """Return the mean precision at COCO's recalls of detections that are `right`, best first."""
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    return float(envelope[np.searchsorted(hits / count, RECALLS - 1e-9)].mean())
