"""Human labels that models which did not learn from them contradict, most suspicious first.

In the manner of ObjectLab (Tkachenko et al., 2023): overlooked, badly located and wrongly named
objects, extended to keypoints and to several models.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from datastill.coco.format import Coco, Record
from datastill.coco.metadata import Metadata
from datastill.evaluation.image_pairs import (
    NEAR,
    RIGHT,
    ImagePairs,
    Numbers,
    keypoint_similarity,
    keypoints,
    pair,
    similarity,
)

MISSING, NOTHING, MOVED = "object without a label", "label without an object", "wrong place"
CLASS, SWAPPED = "wrong category", "left and right swapped"
COUNTED = 0.1  # score from which a detection counts
_LEAST_AREA = 400.0  # square pixels of an object, for one whose keypoints lie in one place


@dataclass(frozen=True)
class Suspect:
    """A label that may be wrong, or an object that may lack one.

    suspicion   0 to 1
    unseen      how little the models see where the label is, 0 to 1
    label       the annotation, None if there is none
    prediction  what the models see instead, as a COCO result whose score is their mean; or None
    """

    image: Record
    kind: str
    suspicion: float
    label: Record | None = None
    prediction: Record | None = None
    unseen: float = 0


@dataclass(frozen=True)
class _Consensus:
    """What several models see in one place.

    record     COCO result: medians, the best supported category, the mean score as "score"
    support    mean score by category, a model without it counting as 0
    agreement  (k,)  mean similarity of the models' own keypoints with it; () for boxes
    """

    record: Record
    support: Mapping[int, float]
    agreement: Numbers


def suspects(labels: Coco, models: Sequence[Sequence[Record]], metadata: Metadata) -> list[Suspect]:
    """Return every label and every unlabelled detection, the most suspicious first.

    models  the detections (COCO results) of each of several models in the images of `labels`
    """
    by_image: dict[int, list[tuple[int, Record]]] = {}
    for model, detections in enumerate(models):
        for detection in detections:
            if detection["score"] >= COUNTED:
                by_image.setdefault(detection["image_id"], []).append((model, detection))
    images, listed = {image["id"]: image for image in labels.images}, list[Suspect]()
    for number, annotations in labels.by_image().items():
        agreed = [*_consensus(by_image.get(number, []), len(models), metadata.sigmas)]
        records = [each.record for each in agreed]
        pairs = pair(images[number], annotations, records, metadata.sigmas)
        listed += _compare(pairs, {id(each.record): each for each in agreed}, metadata)
    judged = [each for each in listed if each.label]
    recall = sum(1 - each.unseen for each in judged) / max(1, len(judged))
    return sorted((_weighed(each, recall) for each in listed), key=lambda each: -each.suspicion)


def _weighed(suspect: Suspect, recall: float) -> Suspect:
    """Count the models' silence about a label as much as they usually see what is labelled."""
    unseen = suspect.unseen * recall
    kind = NOTHING if unseen > suspect.suspicion else suspect.kind
    return replace(suspect, kind=kind, suspicion=suspect.suspicion + unseen)


def _consensus(
    detections: Sequence[tuple[int, Record]], models: int, sigmas: Sequence[float] | None
) -> Iterator[_Consensus]:
    """Yield what the models see in an image, each place once: greedily, from the best score."""
    waiting = sorted(detections, key=lambda each: -each[1]["score"])
    while waiting:
        first = _as_label(waiting[0][1])
        near = similarity([record for _, record in waiting], [first], sigmas)[:, 0] >= RIGHT
        near[0] = True
        members: dict[int, Record] = {}
        for (model, record), inside in zip(waiting, near, strict=True):
            if inside:
                members.setdefault(model, record)
        waiting = [each for each, inside in zip(waiting, near, strict=True) if not inside]
        yield _merged([*members.values()], models, sigmas)


def _merged(members: Sequence[Record], models: int, sigmas: Sequence[float] | None) -> _Consensus:
    support: dict[int, float] = {}
    for member in members:
        category = member["category_id"]
        support[category] = support.get(category, 0) + member["score"] / models
    fields = ("keypoints",) if sigmas else ("bbox",)
    medians = {name: np.median([m[name] for m in members], axis=0).tolist() for name in fields}
    record = {
        "image_id": members[0]["image_id"],
        "category_id": max(support, key=lambda category: support[category]),
        "score": round(sum(support.values()), 4),
        **medians,
    }
    agreement = np.zeros(0)
    if sigmas:
        agreement = keypoint_similarity(members, [_as_label(record)], sigmas)[:, 0].mean(axis=0)
    return _Consensus(record, support, agreement)


def _as_label(detection: Record) -> Record:
    """Return a detection as if annotated, for similarities with it."""
    if "keypoints" not in detection:
        return detection
    points = keypoints([detection])[0]
    marked = np.column_stack([points[:, :2], np.full(len(points), 2.0)])
    width, height = np.ptp(points[:, :2], axis=0)
    area = max(width * height, max(width, height) ** 2 / 4, _LEAST_AREA)  # also of a line
    return {"keypoints": marked.ravel(), "area": float(area)}


def _compare(
    pairs: ImagePairs, agreed: Mapping[int, _Consensus], metadata: Metadata
) -> Iterator[Suspect]:
    """Yield the labels of an image, and the places without one.

    A prediction is also of a label whose mirror image it resembles, or whose extent.
    """
    alike = _alike(pairs, metadata)
    free, image = alike.copy(), pairs.image
    taken: dict[int, int] = {}  # prediction by label
    while free.size and free.max() >= NEAR:  # the most similar pair first
        index, label = map(int, np.unravel_index(free.argmax(), free.shape))
        taken[label] = index
        free[index], free[:, label] = -1, -1
    for label, truth in enumerate(pairs.truths):
        if label in taken:
            prediction = pairs.detections[taken[label]]
            yield _contradiction(image, truth, agreed[id(prediction)], metadata)
        else:
            near = [
                detection["score"]
                for detection, measured in zip(pairs.detections, alike[:, label], strict=True)
                if measured >= NEAR
            ]
            yield Suspect(image, NOTHING, 0, truth, unseen=1 - max(near, default=0))
    for index, prediction in enumerate(pairs.detections):
        unmatched = index not in taken.values()
        unlike = alike[index].max(initial=0) < RIGHT
        if unmatched and unlike and prediction["score"] >= COUNTED:
            yield Suspect(image, MISSING, prediction["score"], None, prediction)


def _contradiction(image: Record, truth: Record, agreed: _Consensus, metadata: Metadata) -> Suspect:
    """Return the label `truth` with how far the models contradict its category or its place."""
    record, sigmas = agreed.record, metadata.sigmas
    own = agreed.support.get(truth["category_id"], 0)
    other = agreed.support[record["category_id"]]
    unseen = 1 - min(record["score"], 1)
    if record["category_id"] != truth["category_id"] and other > own:
        return Suspect(image, CLASS, other - own, truth, record, unseen)
    apart, kind = 1 - float(similarity([record], [truth], sigmas)[0, 0]), MOVED
    if sigmas:
        marked = keypoints([truth])[0, :, 2] > 0
        each = keypoint_similarity([record], [truth], sigmas)[0, 0]
        worst = float(((1 - each) * agreed.agreement)[marked].max())
        swapped = 1 - float(similarity([record], [_mirrored(truth, metadata)], sigmas)[0, 0])
        kind = SWAPPED if swapped < apart - NEAR else MOVED
        apart = (apart + worst) / 2
    return Suspect(image, kind, record["score"] * apart, truth, record, unseen)


def _alike(pairs: ImagePairs, metadata: Metadata) -> Numbers:
    """Return how much predictions and labels are about the same object, (d, t)."""
    if not (metadata.sigmas and pairs.truths and pairs.detections):
        return pairs.similarity
    mirrored = [_mirrored(truth, metadata) for truth in pairs.truths]
    alike = np.maximum(pairs.similarity, similarity(pairs.detections, mirrored, metadata.sigmas))
    detected = [_extent(record) for record in pairs.detections]
    overlap = similarity(detected, [_extent(record) for record in pairs.truths], None) >= RIGHT
    return np.where(overlap, np.maximum(alike, NEAR), alike)


def _extent(record: Record) -> Record:
    """Return the box of the marked keypoints."""
    points = keypoints([record])[0]
    shown = points[points[:, 2] > 0, :2] if "iscrowd" in record else points[:, :2]
    low = shown.min(axis=0)
    return {"bbox": [*low, *(shown.max(axis=0) - low)]}


def _mirrored(truth: Record, metadata: Metadata) -> Record:
    """Return an annotation with its left and right keypoints exchanged."""
    if not metadata.sigmas:
        return truth
    order = [*metadata.skeleton.flip_indices]
    return truth | {"keypoints": keypoints([truth])[0][order].ravel().tolist()}
