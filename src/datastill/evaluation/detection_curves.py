"""Precision over recall of detections, by pycocotools: the curve whose mean is AP."""

from collections.abc import Sequence

import numpy as np

from datastill.coco.format import Coco, Record
from datastill.evaluation.coco_ap import prepared, silence

THRESHOLDS = {"precision50": 0, "precision75": 5}  # index of the similarity .50 and .75


def precision_by_recall(
    truth: Coco, detections: Sequence[Record], task: str, *, sigmas: Sequence[float] | None = None
) -> list[dict[str, float]]:
    """Return points of "recall" (0, 0.01 ... 1), "precision50" and "precision75", all in [0, 1].

    Precision is the mean over the categories that have truth. Arguments and errors are those of
    `evaluate`.
    """
    evaluation = prepared(truth, detections, task, sigmas=sigmas)
    with silence():
        evaluation.evaluate()
        evaluation.accumulate()
    by_category = evaluation.eval["precision"][..., 0, -1]  # (threshold, recall, category)
    known = by_category[..., (by_category > -1).all(axis=(0, 1))]
    curves = np.round(known.mean(axis=-1), 4)
    return [
        {"recall": round(float(recall), 2)}
        | {name: float(curves[index, i]) for name, index in THRESHOLDS.items()}
        for i, recall in enumerate(evaluation.params.recThrs)
    ]
