"""How right are generated annotations? Precision and recall where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datastill.coco.format import Coco, Task
from datastill.errors import DataError
from datastill.evaluation.coco_ap import prepared, silence

LEVELS = (0.5, 0.75)  # OKS of keypoints, IoU of boxes, from which an annotation counts as right


@dataclass(frozen=True)
class AnnotationQuality:
    """Generated annotations against the truth, as fractions at a similarity of 0.5 and 0.75.

    Similarity is OKS for keypoints, IoU for boxes.
    mean_similarity  over the annotations that are right at 0.5
    generated        annotations, without those that match an ignored truth at 0.5
    truth            annotated instances that are no crowd and, for OKS, have keypoints
    A ratio of nothing is None: nothing generated, nothing matched, or no truth.
    """

    precision50: float | None
    recall50: float | None
    precision75: float | None
    recall75: float | None
    mean_similarity: float | None
    generated: int
    truth: int


def judge(
    generated: Coco,
    truth: Coco,
    task: Task = "keypoints",
    *,
    sigmas: Sequence[float] | None = None,
) -> AnnotationQuality:
    """Match `generated` with `truth` as COCO does: greedily by score, by image and category.

    An annotation without score counts as 1; a generated region to ignore is none. Crowds and, of
    keypoints, truth without any are ignored: no one has to find them and who finds them is not
    wrong. OKS is pycocotools', so a keypoint left out (0, 0, 0) counts as missed where the truth
    has it.
    Raises DataError where the images differ or a record is malformed.
    """
    _check_images(generated, truth)
    return _quality(_matched(generated, truth, task, sigmas))


def _matched(generated: Coco, truth: Coco, task: Task, sigmas: Sequence[float] | None) -> Any:
    objects = (each for each in generated.annotations if not each.get("iscrowd"))
    results = [{"score": 1.0, **annotation} for annotation in objects]
    evaluation = prepared(truth, results, task, sigmas=sigmas)
    evaluation.params.iouThrs = np.array(LEVELS)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float("inf")]], ["all"]
    evaluation.params.maxDets = [max(1, len(results))]
    with silence():
        evaluation.evaluate()
    return evaluation


def curve(
    generated: Coco,
    truth: Coco,
    thresholds: Sequence[float],
    task: Task = "keypoints",
    *,
    sigmas: Sequence[float] | None = None,
) -> list[tuple[float | None, float | None]]:
    """Return precision and recall at 0.5 of the annotations that score each of `thresholds`.

    Matching is greedy by score, so one match of all annotations holds for every threshold.
    Raises DataError where the images differ or a record is malformed.
    """
    _check_images(generated, truth)
    evaluation = _matched(generated, truth, task, sigmas)
    cells = [cell for cell in evaluation.evalImgs if cell is not None]
    scores = np.concatenate([[], *(cell["dtScores"] for cell in cells)])
    counted = np.concatenate([[], *(cell["dtIgnore"][0] == 0 for cell in cells)]) > 0
    right = np.concatenate([[], *(cell["dtMatches"][0] > 0 for cell in cells)]) > 0
    present = sum(int((cell["gtIgnore"] == 0).sum()) for cell in cells)
    points = []
    for threshold in thresholds:
        kept = counted & (scores >= threshold)
        found = float((kept & right).sum())
        points.append((_ratio(found, int(kept.sum())), _ratio(found, present)))
    return points


def _check_images(generated: Coco, truth: Coco) -> None:
    ours, theirs = ({image["id"] for image in coco.images} for coco in (generated, truth))
    if ours != theirs:
        some = sorted(ours ^ theirs, key=str)[:5]
        raise DataError(f"generated and true annotations differ in their images, such as {some}")


def _quality(evaluation: Any) -> AnnotationQuality:
    cells = [cell for cell in evaluation.evalImgs if cell is not None]
    right, counted = np.zeros(2, dtype=int), np.zeros(2, dtype=int)
    for cell in cells:
        right += ((cell["dtMatches"] > 0) & (cell["dtIgnore"] == 0)).sum(axis=1)
        counted += (cell["dtIgnore"] == 0).sum(axis=1)
    present = sum(int((cell["gtIgnore"] == 0).sum()) for cell in cells)
    similarity = [each for cell in cells for each in _similarities(evaluation, cell)]
    return AnnotationQuality(
        precision50=_ratio(right[0], counted[0]),
        recall50=_ratio(right[0], present),
        precision75=_ratio(right[1], counted[1]),
        recall75=_ratio(right[1], present),
        mean_similarity=_ratio(sum(similarity), len(similarity)),
        generated=int(counted[0]),
        truth=present,
    )


def _similarities(evaluation: Any, cell: dict[str, Any]) -> list[float]:
    """Return that of the annotations of one image and category that are right at 0.5."""
    key = cell["image_id"], cell["category_id"]
    column = {truth["id"]: index for index, truth in enumerate(evaluation._gts[key])}
    rows = np.flatnonzero((cell["dtMatches"][0] > 0) & (cell["dtIgnore"][0] == 0))
    return [evaluation.ious[key][row, column[int(cell["dtMatches"][0, row])]] for row in rows]


def _ratio(part: float, whole: int) -> float | None:
    return float(part / whole) if whole else None
