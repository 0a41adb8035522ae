"""Which predictions become annotations (section 4): as many as people draw, by no hand.

The paper's rule is `match`, for instances and for keypoints; the others are choices of one's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datastill.coco.format import Coco
from datastill.distill.shards import rows
from datastill.errors import DataError

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Threshold:
    """The score from which on predictions are kept, and whether there were enough to choose from.

    wanted, kept   numbers of predictions; `kept` is larger where scores tie at the threshold
    exhausted      True where fewer exist than wanted: all are kept, whatever their score
    """

    value: float
    wanted: int
    kept: int
    exhausted: bool


@dataclass(frozen=True)
class Density:
    """How people annotate: what generated annotations are matched to.

    instances_per_image, keypoints_per_instance   means over a labelled set
    keypoint_shares                               of its instances, by keypoint: who has it marked
    area_share                                    mean of annotated area over box area
    """

    instances_per_image: float
    keypoints_per_instance: float
    keypoint_shares: tuple[float, ...]
    area_share: float


@dataclass(frozen=True)
class Rules:
    """How to choose.

    instances  match: as many per image as in the labelled set; prior: `per_image` instead;
               fixed: those that score `min_score`
    keypoints  match: as many per instance as in the labelled set; match_by_type: that for every
               keypoint by itself; fixed: those of `min_probability`; agreement: those that
               `min_views` views agree on; None where there are none
    min_ignored  instances from this score up to the threshold become ignored regions: too likely
                   to be background, too unlikely to be learned from; None ignores none (the paper)
    """

    instances: Literal["match", "prior", "fixed"] = "match"
    keypoints: Literal["match", "match_by_type", "fixed", "agreement"] | None = "match"
    per_image: float | None = None
    min_score: float | None = None
    min_probability: float | None = None
    min_views: int | None = None
    min_ignored: float | None = None


@dataclass(frozen=True)
class Selection:
    """What the rules come to: a threshold on scores, and one on each keypoint's probability.

    keypoint     of all keypoints together; None where each has its own or views decide
    by_type      of every keypoint
    views        that must agree on a keypoint, 0 where that does not matter
    ignored      the score from which on what is not kept is ignored; None rejects it all
    by_category  by category id, for boxes: then `instance` only sums them up, its value being the
                 least, and of a category without a threshold nothing is kept
    """

    instance: Threshold
    keypoint: Threshold | None
    by_type: tuple[Threshold, ...] = ()
    views: int = 0
    ignored: float | None = None
    by_category: Mapping[int, Threshold] = field(default_factory=dict)

    def thresholds(self, candidates: pa.Table) -> NDArray[np.float64]:
        """Return the threshold (n,) in force for each candidate, infinite where none is wanted."""
        if not self.by_category:
            return np.full(len(candidates), self.instance.value)
        categories = candidates["category_id"].to_numpy()
        values = np.full(len(candidates), np.inf)
        for number, threshold in self.by_category.items():
            values[categories == number] = threshold.value
        return values

    def keeps(self, candidates: pa.Table) -> Flags:
        """Return which instances (n,) stay."""
        return candidates["score"].to_numpy() >= self.thresholds(candidates)

    def ignores(self, candidates: pa.Table) -> Flags:
        """Return which instances (n,) are neither kept nor background."""
        least = np.inf if self.ignored is None else self.ignored
        return (candidates["score"].to_numpy() >= least) & ~self.keeps(candidates)

    def keeps_keypoints(
        self, probabilities: NDArray[np.float64], agreeing: NDArray[np.int16]
    ) -> Flags:
        """Return which keypoints (n, k) of instances stay."""
        kept = agreeing >= self.views
        if self.keypoint:
            kept &= probabilities >= self.keypoint.value
        if self.by_type and len(kept):
            kept &= probabilities >= np.array([each.value for each in self.by_type])
        return kept


def density(labelled: Coco) -> Density:
    """Return the densities of a labelled set; crowds and people without keypoints do not count.

    Raises DataError where nothing is annotated.
    """
    people = [a for a in labelled.annotations if a["num_keypoints"] and not a.get("iscrowd")]
    if not people:
        raise DataError("the labelled set has no instance with keypoints to match")
    shares = [a["area"] / (a["bbox"][2] * a["bbox"][3]) for a in people]
    marked = np.mean([[v > 0 for v in a["keypoints"][2::3]] for a in people], axis=0)
    return Density(
        instances_per_image=len(people) / len(labelled.images),
        keypoints_per_instance=float(np.mean([a["num_keypoints"] for a in people])),
        keypoint_shares=tuple(marked.tolist()),
        area_share=float(np.mean(shares)),
    )


def matching_threshold(scores: NDArray[np.float64], wanted: int) -> Threshold:
    """Return the threshold that keeps `wanted` of all `scores`.

    Raises DataError where there is no score at all or nothing is wanted.
    """
    if len(scores) == 0 or wanted < 1:
        raise DataError(f"cannot choose {wanted} of {len(scores)} predictions")
    if wanted > len(scores):
        return Threshold(float(scores.min()), wanted, len(scores), exhausted=True)
    value = float(np.partition(scores, len(scores) - wanted)[len(scores) - wanted])
    return Threshold(value, wanted, int((scores >= value).sum()), exhausted=False)


def fixed_threshold(scores: NDArray[np.float64], value: float) -> Threshold:
    """Return a threshold chosen by hand; raises DataError where nothing reaches it."""
    kept = int((scores >= value).sum())
    if not kept:
        best = f"the best is {scores.max():.3f}" if len(scores) else "there is none"
        raise DataError(f"no prediction reaches {value}: {best}; lower it or train longer")
    return Threshold(value, kept, kept, exhausted=False)


class Tables(Protocol):
    """Candidates that can be read again and again, a table at a time."""

    def tables(self, *columns: str) -> Iterable[pa.Table]: ...


def select(candidates: Tables, images: int, wanted: Density, rules: Rules) -> Selection:
    """Return the thresholds for the `candidates` of that many `images`.

    Keypoints are counted over the instances that the first threshold keeps. Raises DataError where
    there is no candidate at all, or none that a rule keeps.
    """
    found = scores(candidates)
    if not len(found):
        raise DataError(
            f"the teacher found nothing in {images} images; train it longer or check the images"
        )
    instance = _instances(found, images, wanted, rules)
    ignored = rules.min_ignored
    if rules.keypoints == "agreement":
        views = int(rules.min_views or 0)
        if _most_agreeing(candidates, instance) < views:
            raise DataError(f"no keypoint has {views} views that agree; lower select.min_views")
        return Selection(instance, None, views=views, ignored=ignored)
    probabilities = _probabilities(candidates, instance)
    if rules.keypoints == "match_by_type":
        counts = [max(1, round(share * len(probabilities))) for share in wanted.keypoint_shares]
        columns = zip(probabilities.T, counts, strict=True)
        by_type = tuple(matching_threshold(p, n) for p, n in columns)
        return Selection(instance, None, by_type, ignored=ignored)
    if rules.keypoints == "fixed":
        keypoint = fixed_threshold(probabilities.ravel(), float(rules.min_probability or 0))
    else:
        count = round(wanted.keypoints_per_instance * len(probabilities))
        keypoint = matching_threshold(probabilities.ravel(), count)
    return Selection(instance, keypoint, ignored=ignored)


def scores(candidates: Tables) -> NDArray[np.float64]:
    """Return the scores (n,) of all candidates, one table at least."""
    return np.concatenate([table["score"].to_numpy() for table in candidates.tables("score")])


def _most_agreeing(candidates: Tables, instance: Threshold) -> int:
    """Return how many views agree on the surest keypoint of the instances that are kept."""
    most = 0
    for table in candidates.tables("score", "agreeing"):
        mine = rows(table["agreeing"])[table["score"].to_numpy() >= instance.value]
        most = max(most, int(mine.max(initial=0)))
    return most


def _probabilities(candidates: Tables, instance: Threshold) -> NDArray[np.float64]:
    """Return (n, k) of the instances that `instance` keeps."""
    several = (table for table in candidates.tables("score", "keypoints") if len(table))
    found, count = np.empty((0, 0)), 0  # parts of it, joined at the end, would be it twice
    for table in several:
        mine = keypoint_array(table)[table["score"].to_numpy() >= instance.value, :, 2]
        if not len(found):
            found = np.empty((instance.kept, mine.shape[1]))
        found[count : count + len(mine)] = mine
        count += len(mine)
    return found


def _instances(
    scores: NDArray[np.float64], images: int, wanted: Density, rules: Rules
) -> Threshold:
    if rules.instances == "fixed":
        return fixed_threshold(scores, float(rules.min_score or 0))
    per_image = wanted.instances_per_image if rules.instances == "match" else rules.per_image
    return matching_threshold(scores, round(float(per_image or 0) * images))


def keypoint_array(candidates: pa.Table) -> NDArray[np.float64]:
    """Return the keypoints of `candidates` as (n, k, 3): x, y, probability."""
    flat = rows(candidates["keypoints"])
    return flat.reshape(len(flat), flat.shape[1] // 3, 3)
