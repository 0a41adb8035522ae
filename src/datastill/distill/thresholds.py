"""Count-matched thresholds: which predictions become annotations (section 4).

The paper's rule is `match`: annotate as densely as people did, with no hand-set threshold. Boxes
are matched category by category (section 6). The other rules are this project's own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datastill.coco.format import Coco
from datastill.distill.shards import to_matrix
from datastill.errors import DataError

Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Threshold:
    """The lowest score that is kept, and whether there were enough predictions to choose from.

    wanted, kept   numbers of predictions; `kept` is larger if scores tie at the threshold
    exhausted      True if fewer exist than wanted: all are kept, whatever their score
    """

    value: float
    wanted: int
    kept: int
    exhausted: bool


@dataclass(frozen=True)
class Density:
    """How densely a labelled set is annotated: the target of generated annotations.

    instances_per_image     mean by id of each annotated category
    area_shares             mean of annotated area over box area, by category id
    keypoints_per_instance  mean; 0 without keypoints
    keypoint_shares         share of the instances that have it marked, by keypoint
    """

    instances_per_image: Mapping[int, float]
    area_shares: Mapping[int, float]
    keypoints_per_instance: float = 0.0
    keypoint_shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Rules:
    """Selection rules.

    instances  match: as many per image as in the labelled set; prior: `per_image` instead;
               fixed: those that score `min_score`
    keypoints  match: as many per instance as in the labelled set; match_by_type: that for each
               keypoint separately; fixed: those of `min_probability`; agreement: those that
               `min_views` views agree on; None for boxes
    min_ignored  instances from this score up to the threshold become ignored regions: too likely
                   objects for background, too unlikely for labels; None ignores none (the paper)
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
    """The thresholds that follow from the rules: on scores, and on keypoint probabilities.

    keypoint     of all keypoints together; None if each has its own or views decide
    by_type      of each keypoint
    views        that must agree on a keypoint, 0 if agreement is not required
    ignored      the score from which instances that are not kept are ignored; None rejects all
    by_category  by category id, for boxes: then `instance` only summarises them, its value being
                 the lowest, and categories without a threshold are not kept
    """

    instance: Threshold
    keypoint: Threshold | None = None
    by_type: tuple[Threshold, ...] = ()
    views: int = 0
    ignored: float | None = None
    by_category: Mapping[int, Threshold] = field(default_factory=dict)

    def thresholds(self, candidates: pa.Table) -> Scores:
        """Return the threshold (n,) in force for each candidate, infinite if none is wanted."""
        values = np.full(len(candidates), np.inf if self.by_category else self.instance.value)
        categories = candidates["category_id"].to_numpy()
        for category, threshold in self.by_category.items():
            values[categories == category] = threshold.value
        return values

    def keeps(self, candidates: pa.Table) -> Flags:
        """Return which instances (n,) are kept."""
        return candidates["score"].to_numpy() >= self.thresholds(candidates)

    def ignores(self, candidates: pa.Table) -> Flags:
        """Return which instances (n,) are neither kept nor background."""
        lowest = np.inf if self.ignored is None else self.ignored
        return (candidates["score"].to_numpy() >= lowest) & ~self.keeps(candidates)

    def keeps_keypoints(self, probabilities: Scores, agreeing: NDArray[np.int16]) -> Flags:
        """Return which keypoints (n, k) of instances are kept."""
        kept = agreeing >= self.views
        if self.keypoint:
            kept &= probabilities >= self.keypoint.value
        if self.by_type and len(kept):
            kept &= probabilities >= np.array([each.value for each in self.by_type])
        return kept


def keypoint_density(labelled: Coco) -> Density:
    """Return the density of a set with keypoints; crowds and instances without any do not count.

    Raises DataError if nothing is annotated.
    """
    instances = [a for a in labelled.annotations if a["num_keypoints"] and not a.get("iscrowd")]
    if not instances:
        raise DataError("the labelled set has no instance with keypoints to match")
    category = instances[0]["category_id"]  # the one with keypoints
    shares = [a["area"] / (a["bbox"][2] * a["bbox"][3]) for a in instances]
    marked = np.mean([[v > 0 for v in a["keypoints"][2::3]] for a in instances], axis=0)
    return Density(
        instances_per_image={category: len(instances) / len(labelled.images)},
        area_shares={category: float(np.mean(shares))},
        keypoints_per_instance=float(np.mean([a["num_keypoints"] for a in instances])),
        keypoint_shares=tuple(marked.tolist()),
    )


def box_density(labelled: Coco) -> Density:
    """Return the density of each category of a set; crowds do not count.

    Raises DataError if nothing is annotated.
    """
    instances = [a for a in labelled.annotations if not a.get("iscrowd")]
    if not instances:
        raise DataError("the labelled set has no instance to match")
    counts = Counter(a["category_id"] for a in instances)
    shares: Counter[int] = Counter()
    for a in instances:
        shares[a["category_id"]] += a["area"] / (a["bbox"][2] * a["bbox"][3])
    return Density(
        {category: counts[category] / len(labelled.images) for category in sorted(counts)},
        {category: shares[category] / counts[category] for category in sorted(counts)},
    )


def matching_threshold(scores: Scores, wanted: int) -> Threshold:
    """Return the threshold that keeps `wanted` of all `scores`.

    Raises DataError if there is no score at all or nothing is wanted.
    """
    if not len(scores) or wanted < 1:
        raise DataError(f"cannot choose {wanted} of {len(scores)} predictions")
    if wanted > len(scores):
        return Threshold(float(scores.min()), wanted, len(scores), exhausted=True)
    value = float(np.partition(scores, len(scores) - wanted)[len(scores) - wanted])
    return Threshold(value, wanted, int((scores >= value).sum()), exhausted=False)


def fixed_threshold(scores: Scores, value: float) -> Threshold:
    """Return the threshold `value`; raises DataError if nothing reaches it."""
    kept = int((scores >= value).sum())
    if not kept:
        best = f"the best is {scores.max():.3f}" if len(scores) else "there is none"
        raise DataError(f"no prediction reaches {value}: {best}; lower it or train longer")
    return Threshold(value, kept, kept, exhausted=False)


class Tables(Protocol):
    """Candidates that can be read repeatedly, one table at a time."""

    def tables(self, *columns: str) -> Iterable[pa.Table]: ...


def select(candidates: Tables, images: int, density: Density, rules: Rules) -> Selection:
    """Return the thresholds for the `candidates` in that many `images`.

    Keypoints are counted over the instances that the first threshold keeps. A category of boxes of
    which less than half an instance is wanted has no threshold; one that the teacher finds too
    rarely, or never, is exhausted. Raises DataError if there is no candidate at all, or a rule
    keeps none.
    """
    (scores,) = read_columns(candidates, "score")
    if not len(scores):
        raise DataError(
            f"the teacher found nothing in {images} images; train it longer or check the images"
        )
    if not density.keypoint_shares:
        return _select_boxes(candidates, images, density, rules)
    (instances_per_image,) = density.instances_per_image.values()
    instance = _instance_threshold(scores, images, instances_per_image, rules)
    if rules.keypoints == "agreement":
        views = int(rules.min_views or 0)
        if _max_agreeing(candidates, instance) < views:
            raise DataError(f"no keypoint has {views} views that agree; lower select.min_views")
        return Selection(instance, views=views, ignored=rules.min_ignored)
    probabilities = _kept_probabilities(candidates, instance)
    if rules.keypoints == "match_by_type":
        counts = [max(1, round(share * len(probabilities))) for share in density.keypoint_shares]
        by_type = tuple(map(matching_threshold, probabilities.T, counts))
        return Selection(instance, by_type=by_type, ignored=rules.min_ignored)
    if rules.keypoints == "fixed":
        keypoint = fixed_threshold(probabilities.ravel(), float(rules.min_probability or 0))
    else:
        count = round(density.keypoints_per_instance * len(probabilities))
        keypoint = matching_threshold(probabilities.ravel(), count)
    return Selection(instance, keypoint, ignored=rules.min_ignored)


def _instance_threshold(scores: Scores, images: int, mean: float, rules: Rules) -> Threshold:
    if rules.instances == "fixed":
        return fixed_threshold(scores, float(rules.min_score or 0))
    per_image = mean if rules.instances == "match" else float(rules.per_image or 0)
    return matching_threshold(scores, round(per_image * images))


def _select_boxes(candidates: Tables, images: int, density: Density, rules: Rules) -> Selection:
    scores, categories = read_columns(candidates, "score", "category_id")
    thresholds = {
        category: _box_threshold(scores[categories == category], round(mean * images), rules)
        for category, mean in density.instances_per_image.items()
    }
    by_category = {category: each for category, each in thresholds.items() if each}
    wanted = by_category.values()
    total = Threshold(
        min((each.value for each in wanted), default=0.0),
        sum(each.wanted for each in wanted),
        sum(each.kept for each in wanted),
        any(each.exhausted for each in wanted),
    )
    if not total.kept:
        raise DataError(
            f"of {len(scores)} predictions in {images} images none is kept of any category; "
            "lower select.min_score, train longer or take more images"
        )
    return Selection(total, ignored=rules.min_ignored, by_category=by_category)


def _box_threshold(scores: Scores, wanted: int, rules: Rules) -> Threshold | None:
    if rules.instances == "fixed":
        value = float(rules.min_score or 0)
        kept = int((scores >= value).sum())
        return Threshold(value, kept, kept, exhausted=False)
    if wanted and not len(scores):
        return Threshold(0.0, wanted, 0, exhausted=True)
    return matching_threshold(scores, wanted) if wanted else None


def read_columns(candidates: Tables, *columns: str) -> list[NDArray[np.float64]]:
    """Return columns of numbers, each (n,), of all candidates: one table at least."""
    tables = list(candidates.tables(*columns))
    return [np.concatenate([table[name].to_numpy() for table in tables]) for name in columns]


def _max_agreeing(candidates: Tables, instance: Threshold) -> int:
    """Return the maximum number of views that agree on a keypoint of the kept instances."""
    most = 0
    for table in candidates.tables("score", "agreeing"):
        kept = to_matrix(table["agreeing"])[table["score"].to_numpy() >= instance.value]
        most = max(most, int(kept.max(initial=0)))
    return most


def _kept_probabilities(candidates: Tables, instance: Threshold) -> Scores:
    """Return (n, k) of the instances that `instance` keeps."""
    probabilities, count = np.empty((0, 0)), 0  # filled in place: joining parts would double it
    for table in (table for table in candidates.tables("score", "keypoints") if len(table)):
        kept = keypoint_array(table)[table["score"].to_numpy() >= instance.value, :, 2]
        if not len(probabilities):
            probabilities = np.empty((instance.kept, kept.shape[1]))
        probabilities[count : count + len(kept)] = kept
        count += len(kept)
    return probabilities


def keypoint_array(candidates: pa.Table) -> NDArray[np.float64]:
    """Return the keypoints of `candidates` as (n, k, 3): x, y, probability."""
    flat = to_matrix(candidates["keypoints"])
    return flat.reshape(len(flat), flat.shape[1] // 3, 3)
