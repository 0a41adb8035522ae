"""Similarity of every detection of an image with every annotated object, and one-to-one pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from datastill.coco.format import Coco, Record

RIGHT = 0.5  # OKS of keypoints, IoU of boxes, from which a detection is right
NEAR = 0.1  # from which it belongs to an object at all, in TIDE and in Ronchi & Perona

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class ImagePairs:
    """The objects and detections of one image.

    truths      annotated objects, without crowds and, for keypoints, those without any
    detections  best first, without those of ignored objects
    similarity  (d, t)  OKS or IoU, whatever the categories
    same        (d, t)  whether the categories are equal
    """

    image: Record
    truths: list[Record]
    detections: list[Record]
    similarity: Numbers
    same: NDArray[np.bool_]

    def partners(self, minimum: float = RIGHT) -> NDArray[np.int64]:
        """Return the truth of every detection (d,), -1 for none.

        By descending score, each takes the free truth of its category that is most similar, if
        that is at least `minimum`.
        """
        taken = np.full(len(self.detections), -1)
        free = np.where(self.same, self.similarity, -1)
        for index in range(len(free) if self.truths else 0):
            best = int(np.argmax(free[index]))
            if free[index, best] >= minimum:
                taken[index] = best
                free[:, best] = -1
        return taken


def image_pairs(
    truth: Coco, detections: Sequence[Record], sigmas: Sequence[float] | None
) -> Iterator[ImagePairs]:
    """Yield the objects and `detections` (COCO results) of every image of `truth`.

    sigmas  OKS's of keypoints, None for boxes
    """
    images = {image["id"]: image for image in truth.images}
    by_image: dict[int, list[Record]] = {}
    for detection in detections:
        by_image.setdefault(detection["image_id"], []).append(detection)
    for number, annotations in truth.by_image().items():
        yield pair(images[number], annotations, by_image.get(number, []), sigmas)


def pair(
    image: Record,
    annotations: Sequence[Record],
    detections: Sequence[Record],
    sigmas: Sequence[float] | None,
) -> ImagePairs:
    """Return the objects and detections of one image."""
    truths = [a for a in annotations if not _is_ignored(a, sigmas)]
    ignored = [a for a in annotations if _is_ignored(a, sigmas)]
    best_first = sorted(detections, key=lambda detection: -detection["score"])
    measured = similarity(best_first, truths, sigmas)
    kept = [
        index
        for index, detection in enumerate(best_first)
        if measured[index].max(initial=0) >= RIGHT
        or not any(
            each["category_id"] == detection["category_id"]
            and _share_inside(detection, each) > RIGHT
            for each in ignored
        )
    ]
    detected = [best_first[index] for index in kept]
    categories = (
        np.array([record["category_id"] for record in records]) for records in (detected, truths)
    )
    same = np.equal.outer(*categories).reshape(len(detected), len(truths))
    return ImagePairs(image, truths, detected, measured[kept], same)


def similarity(
    detections: Sequence[Record], truths: Sequence[Record], sigmas: Sequence[float] | None
) -> Numbers:
    """Return OKS or, without `sigmas`, IoU of detections and truths, (d, t), as COCO defines it."""
    if not detections or not truths:
        return np.zeros((len(detections), len(truths)))
    if sigmas is None:
        return _iou(detections, truths)
    marked = keypoints(truths)[..., 2] > 0
    each = keypoint_similarity(detections, truths, sigmas)
    return np.asarray(each.mean(axis=2, where=marked[None]))


def keypoint_similarity(
    detections: Sequence[Record], truths: Sequence[Record], sigmas: Sequence[float]
) -> Numbers:
    """Return the terms of OKS, one per keypoint, (d, t, k)."""
    offsets = keypoints(detections)[:, None, :, :2] - keypoints(truths)[None, :, :, :2]
    areas = np.array([truth["area"] for truth in truths], dtype=float) + np.spacing(1)
    scale = 2 * areas[:, None] * np.square(2 * np.asarray(sigmas))
    return np.asarray(np.exp(-np.square(offsets).sum(axis=-1) / scale))


def keypoints(records: Sequence[Record]) -> Numbers:
    """Return the keypoints of at least one record, (n, k, 3)."""
    points = np.array([record["keypoints"] for record in records], dtype=float)
    return points.reshape(len(records), -1, 3)


def matched_threshold(detections: Sequence[Record], objects: int) -> float:
    """Return the score that leaves as many detections as `objects`, 0 if there are fewer."""
    scores = sorted((detection["score"] for detection in detections), reverse=True)
    return float(scores[objects - 1]) if 0 < objects <= len(scores) else 0.0


def _is_ignored(annotation: Record, sigmas: Sequence[float] | None) -> bool:
    unmarked = sigmas is not None and not any(annotation.get("keypoints", [])[2::3])
    return bool(annotation.get("iscrowd")) or unmarked


def _share_inside(detection: Record, region: Record) -> float:
    """Return the share of the keypoints, or of the box, of `detection` in the box of `region`."""
    x, y, width, height = region["bbox"]
    if "keypoints" in detection:
        points = keypoints([detection])[0, :, :2] - (x, y)
        return float(((points >= 0) & (points <= (width, height))).all(axis=1).mean())
    return float(_iou([detection], [region], of_union=False)[0, 0])


def _iou(detections: Sequence[Record], truths: Sequence[Record], of_union: bool = True) -> Numbers:
    """Return the shared area of boxes as a share of their union, else of the detection, (d, t)."""
    boxes = (np.array([each["bbox"] for each in side], float) for side in (detections, truths))
    return np.asarray(mask.iou(*boxes, np.full(len(truths), not of_union)))
