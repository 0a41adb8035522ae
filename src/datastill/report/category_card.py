"""What is said of generated boxes category by category: which are rare, how right, what if more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Coco, Record
from datastill.coco.subsets import subset
from datastill.distill.drift import UNSURE
from datastill.distill.shards import rows
from datastill.evaluation.annotation_quality import curve, judge

if TYPE_CHECKING:
    from datastill.report.annotation_card import Outcome

_SHARES = np.geomspace(0.25, 4, 9)  # of the instances that are wanted
_NAMED = 8  # categories in a warning


def category_names(coco: Coco) -> dict[int, str]:
    """Return the name of every category by its id."""
    return {category["id"]: category["name"] for category in coco.categories}


def rare(outcome: Outcome) -> Iterator[str]:
    """Yield which categories fall short of being annotated as people do, and how."""
    names = category_names(outcome.unlabelled)
    thresholds = {names[n]: each for n, each in outcome.selection.by_category.items()}
    short = {name: t for name, t in thresholds.items() if t.exhausted}
    yield from _told(
        "wanted to match the labelled set, and never predicted by the teacher",
        [f"{name} ({t.wanted})" for name, t in short.items() if not t.kept],
    )
    yield from _told(
        "predicted too rarely to match the labelled set; all are kept, whatever their score",
        [f"{name} ({t.kept} of {t.wanted})" for name, t in short.items() if t.kept],
    )
    yield from _told(
        f"to match the labelled set, accepted at a score below {UNSURE:g}",
        [f"{n} ({t.value:.2f})" for n, t in thresholds.items() if t.kept and t.value < UNSURE],
    )
    labelled = outcome.labelled.annotations
    seen = {names[a["category_id"]] for a in labelled if not a["iscrowd"]}
    yield from _told(
        "so rare among the labelled that none is wanted in as few images",
        [name for name in names.values() if name in seen and name not in thresholds],
    )
    yield from _told(
        "without a labelled instance, so none is annotated",
        [name for name in names.values() if name not in seen],
    )


def _told(what: str, cases: Sequence[str]) -> Iterator[str]:
    more = [f"and {len(cases) - _NAMED} more"] if len(cases) > _NAMED else []
    if cases:
        yield f"{what}: {', '.join([*cases[:_NAMED], *more])}"


def by_category(generated: Coco, truth: Coco) -> dict[str, Any]:
    """Return precision and recall of every category that is there or generated, by name."""
    measured = {}
    for number, name in category_names(truth).items():
        quality = judge(_alone(generated, number), _alone(truth, number), "boxes")
        if quality.generated or quality.truth:
            measured[name] = {
                "precision50": _rounded(quality.precision50),
                "recall50": _rounded(quality.recall50),
                "generated": quality.generated,
                "truth": quality.truth,
            }
    return {"by_category": measured}


def _alone(coco: Coco, number: int) -> Coco:
    annotations = [a for a in coco.annotations if a["category_id"] == number]
    return Coco(coco.images, annotations, [c for c in coco.categories if c["id"] == number])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def shares(outcome: Outcome) -> list[dict[str, Any]]:
    """Return what annotating other shares of the wanted instances, the same share of every
    category, would have given: instances per image and, where the truth is known, precision and
    recall at IoU 0.5.
    """
    wanted = {number: t.wanted for number, t in outcome.selection.by_category.items()}
    needed = _needed_shares(outcome, wanted)
    judged: Sequence[tuple[float | None, float | None]] = [(None, None)] * len(_SHARES)
    if outcome.unlabelled.annotations:
        found = Coco(outcome.readable, _records(outcome, needed), outcome.unlabelled.categories)
        truth = subset(outcome.unlabelled, outcome.readable)
        judged = curve(found, truth, (1 / _SHARES).tolist(), "boxes")
    return [
        {
            "share": float(share),
            "instances_per_image": float((needed <= share).sum()) / len(outcome.readable),
            "precision50": precision,
            "recall50": recall,
        }
        for share, (precision, recall) in zip(_SHARES, judged, strict=True)
    ]


def _needed_shares(outcome: Outcome, wanted: Mapping[int, int]) -> NDArray[np.float64]:
    """Return from which share of the wanted on each candidate (n,) would be annotated."""
    tables = list(outcome.candidates.tables("score", "category_id"))
    scores = np.concatenate([table["score"].to_numpy() for table in tables])
    categories = np.concatenate([table["category_id"].to_numpy() for table in tables])
    needed = np.full(len(scores), np.inf)
    for number, count in wanted.items():
        mine = np.flatnonzero(categories == number)
        best_first = mine[np.argsort(-scores[mine], kind="stable")]
        needed[best_first] = np.arange(1, len(mine) + 1) / max(1, count)
    return needed


def _records(outcome: Outcome, needed: NDArray[np.float64]) -> list[Record]:
    """Return the candidates as annotations whose scores fall as their needed shares rise."""
    records: list[Record] = []
    place = 0
    for table in outcome.candidates.tables("image_id", "category_id", "box"):
        mine = needed[place : place + len(table)]
        place += len(table)
        plain = table.select(["image_id", "category_id"]).to_pydict()
        lines = zip(plain["image_id"], plain["category_id"], rows(table["box"]), mine, strict=True)
        for image_id, category, (x1, y1, x2, y2), share in lines:
            if share <= _SHARES[-1]:
                box = [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]
                where = {"image_id": image_id, "category_id": category, "bbox": box}
                records.append({"id": len(records) + 1, **where, "score": 1 / float(share)})
    return records
