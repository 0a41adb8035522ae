"""Quality of generated annotations: precision and recall, if the truth is known."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Coco, Record, Task
from datastill.errors import DataError
from datastill.evaluation.coco_ap import prepared, silence

LEVELS = (0.5, 0.75)  # OKS of keypoints, IoU of boxes, from which an annotation counts as right


@dataclass(frozen=True)
class AnnotationQuality:
    """Generated annotations against the truth, as fractions at a similarity of 0.5 and 0.75.

    Similarity is OKS for keypoints, IoU for boxes.
    mean_similarity  over the annotations that are right at 0.5
    generated        annotations, without those that match an ignored truth at 0.5
    truth            annotated instances that are not crowds and, for OKS, have keypoints
    A ratio over nothing is None: nothing generated, nothing matched, or no truth.
    """

    precision50: float | None
    recall50: float | None
    precision75: float | None
    recall75: float | None
    mean_similarity: float | None
    generated: int
    truth: int


def measure(
    generated: Coco, truth: Coco, task: Task = "keypoints", *, sigmas: Sequence[float] | None = None
) -> AnnotationQuality:
    """Match `generated` with `truth` as COCO does: greedily by score, by image and category.

    An annotation without a score counts as 1; a generated region to ignore does not count. Crowds
    and, for keypoints, truth without any are ignored: neither missing nor finding them is an
    error. OKS is pycocotools', so a keypoint left out (0, 0, 0) counts as missed if the truth has
    it. Raises DataError if the images differ or a record is malformed.
    """
    evaluation, cells = _matched(generated, truth, task, sigmas)
    right, counted = np.zeros((2, 2), dtype=int)
    for cell in cells:
        right += ((cell["dtMatches"] > 0) & (cell["dtIgnore"] == 0)).sum(axis=1)
        counted += (cell["dtIgnore"] == 0).sum(axis=1)
    present = _count_truth(cells)
    similarities = [each for cell in cells for each in _similarities(evaluation, cell)]
    return AnnotationQuality(
        precision50=_ratio(right[0], counted[0]),
        recall50=_ratio(right[0], present),
        precision75=_ratio(right[1], counted[1]),
        recall75=_ratio(right[1], present),
        mean_similarity=_ratio(sum(similarities), len(similarities)),
        generated=int(counted[0]),
        truth=present,
    )


def measure_categories(generated: Coco, truth: Coco) -> dict[str, AnnotationQuality]:
    """Return the quality of the boxes of each category that is present or generated, by name."""
    qualities = {
        category["name"]: measure(
            _one_category(generated, category), _one_category(truth, category), "boxes"
        )
        for category in truth.categories
    }
    return {name: each for name, each in qualities.items() if each.generated or each.truth}


def _one_category(coco: Coco, category: Record) -> Coco:
    annotations = [a for a in coco.annotations if a["category_id"] == category["id"]]
    return Coco(coco.images, annotations, [category])


def precision_recall(
    generated: Coco,
    truth: Coco,
    thresholds: Sequence[float],
    task: Task = "keypoints",
    *,
    sigmas: Sequence[float] | None = None,
) -> list[tuple[float | None, float | None]]:
    """Return precision and recall at 0.5 of the annotations that score each of `thresholds`.

    Matching is greedy by score, so one match of all annotations holds for every threshold.
    Raises DataError if the images differ or a record is malformed.
    """
    _, cells = _matched(generated, truth, task, sigmas)
    scores = np.concatenate([[], *(cell["dtScores"] for cell in cells)])
    counted = np.concatenate([[], *(cell["dtIgnore"][0] == 0 for cell in cells)]) > 0
    right = np.concatenate([[], *(cell["dtMatches"][0] > 0 for cell in cells)]) > 0
    present = _count_truth(cells)
    points = []
    for threshold in thresholds:
        kept = counted & (scores >= threshold)
        correct = float((kept & right).sum())
        points.append((_ratio(correct, int(kept.sum())), _ratio(correct, present)))
    return points


def judge(
    generated: Coco, truth: Coco, task: Task = "keypoints", *, sigmas: Sequence[float] | None = None
) -> tuple[NDArray[np.float64], Counter[tuple[int, int]]]:
    """Return which of the annotations (n,) are right at 0.5, and how many instances there are.

    1 is right, 0 wrong and NaN neither, as `measure` counts them; none may be a region to ignore.
    Instances are counted by image and category id. Raises DataError as `measure` does.
    """
    _, cells = _matched(generated, truth, task, sigmas)
    right = np.full(len(generated.annotations), np.nan)
    counts: Counter[tuple[int, int]] = Counter()
    for cell in cells:
        counts[cell["image_id"], cell["category_id"]] += _count_truth([cell])
        order = np.array(cell["dtIds"], dtype=np.int64) - 1  # pycocotools numbers results from 1
        right[order] = np.where(cell["dtIgnore"][0], np.nan, cell["dtMatches"][0] > 0)
    return right, counts


def _matched(
    generated: Coco, truth: Coco, task: Task, sigmas: Sequence[float] | None
) -> tuple[Any, list[dict[str, Any]]]:
    """Return pycocotools' evaluation and its matches by category and image."""
    if difference := {i["id"] for i in generated.images} ^ {i["id"] for i in truth.images}:
        some = sorted(difference, key=str)[:5]
        raise DataError(f"generated and true annotations differ in their images, such as {some}")
    instances = (each for each in generated.annotations if not each.get("iscrowd"))
    results = [{"score": 1.0, **annotation} for annotation in instances]
    evaluation = prepared(truth, results, task, sigmas=sigmas)
    evaluation.params.iouThrs = np.array(LEVELS)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float("inf")]], ["all"]
    evaluation.params.maxDets = [max(1, len(results))]
    with silence():
        evaluation.evaluate()
    return evaluation, [cell for cell in evaluation.evalImgs if cell is not None]


def _count_truth(cells: Sequence[dict[str, Any]]) -> int:
    return sum(int((cell["gtIgnore"] == 0).sum()) for cell in cells)


def _similarities(evaluation: Any, cell: dict[str, Any]) -> list[float]:
    """Return those of the annotations of one image and category that are right at 0.5."""
    key = cell["image_id"], cell["category_id"]
    column = {truth["id"]: index for index, truth in enumerate(evaluation._gts[key])}
    matches, ignored = cell["dtMatches"][0], cell["dtIgnore"][0]
    right = np.flatnonzero((matches > 0) & (ignored == 0))
    return [evaluation.ious[key][index, column[int(matches[index])]] for index in right]


def _ratio(part: float, whole: int) -> float | None:
    return float(part / whole) if whole else None
