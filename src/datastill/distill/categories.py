"""Which boxes become annotations (section 6): of every category as many as people draw of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Coco
from datastill.distill.thresholds import Rules, Selection, Tables, Threshold, matching_threshold
from datastill.errors import DataError


@dataclass(frozen=True)
class BoxDensity:
    """How people annotate boxes, by the ids of the categories that they annotate at all.

    instances_per_image  means over a labelled set
    area_shares          means of annotated area over box area
    """

    instances_per_image: Mapping[int, float]
    area_shares: Mapping[int, float]


def box_density(labelled: Coco) -> BoxDensity:
    """Return the densities of a labelled set; crowds do not count.

    Raises DataError where nothing is annotated.
    """
    objects = [a for a in labelled.annotations if not a.get("iscrowd")]
    if not objects:
        raise DataError("the labelled set has no instance to match")
    counts = Counter(a["category_id"] for a in objects)
    sums: Counter[int] = Counter()
    for a in objects:
        sums[a["category_id"]] += a["area"] / (a["bbox"][2] * a["bbox"][3])
    known = sorted(counts)
    return BoxDensity(
        {number: counts[number] / len(labelled.images) for number in known},
        {number: sums[number] / counts[number] for number in known},
    )


def select_boxes(candidates: Tables, images: int, wanted: BoxDensity, rules: Rules) -> Selection:
    """Return a threshold per category for the `candidates` of that many `images`.

    A category of which less than half an instance is wanted has none. One that the teacher finds
    too rarely, or never, is exhausted. Raises DataError where there is no candidate at all, or none
    that is kept.
    """
    scores, categories = _read(candidates)
    if not len(scores):
        raise DataError(
            f"the teacher found nothing in {images} images; train it longer or check the images"
        )
    found = {
        number: _threshold(scores[categories == number], round(per_image * images), rules)
        for number, per_image in wanted.instances_per_image.items()
    }
    by_category = {number: each for number, each in found.items() if each}
    kept = list(by_category.values())
    total = Threshold(
        min((each.value for each in kept), default=0.0),
        sum(each.wanted for each in kept),
        sum(each.kept for each in kept),
        any(each.exhausted for each in kept),
    )
    if not total.kept:
        raise DataError(
            f"of {len(scores)} predictions in {images} images none is kept of any category; "
            "lower select.min_score, train longer or take more images"
        )
    return Selection(total, None, ignored=rules.min_ignored, by_category=by_category)


def _read(candidates: Tables) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    tables = list(candidates.tables("score", "category_id"))
    scores = [table["score"].to_numpy() for table in tables]
    return np.concatenate(scores), np.concatenate([t["category_id"].to_numpy() for t in tables])


def _threshold(scores: NDArray[np.float64], wanted: int, rules: Rules) -> Threshold | None:
    if rules.instances == "fixed":
        least = float(rules.min_score or 0)
        kept = int((scores >= least).sum())
        return Threshold(least, kept, kept, exhausted=False)
    if not wanted:
        return None
    if not len(scores):
        return Threshold(0.0, wanted, 0, exhausted=True)
    return matching_threshold(scores, wanted)
