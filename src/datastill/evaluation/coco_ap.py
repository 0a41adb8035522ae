"""COCO average precision, by pycocotools: the number of record."""

import io
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from datastill.coco.format import Coco, Record
from datastill.coco.results import max_detections
from datastill.errors import DataError

TASKS = {"keypoints": "keypoints", "boxes": "bbox"}  # our name: pycocotools' name


@dataclass(frozen=True)
class AveragePrecision:
    """COCO AP in percent, as the paper prints it.

    A range of areas without truth is None, as is `ap_small` for keypoints: COCO has none.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None


def evaluate(
    truth: Coco, detections: Sequence[Record], task: str, *, sigmas: Sequence[float] | None = None
) -> AveragePrecision:
    """Score `detections` (COCO results) of `task` "keypoints" or "boxes" against `truth`.

    `sigmas` are OKS's, one per keypoint; COCO's 17 by default. As in pycocotools, the area of a
    detected person is that of its bbox and, for results without bbox, of its keypoints' extent.
    Raises DataError on malformed records and if `truth` has no object to detect.
    """
    evaluation = prepared(truth, detections, task, sigmas=sigmas)
    with silence():
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., -1]  # (threshold, recall, category, area)
    table = np.where((precision > -1).all(axis=1), precision.mean(axis=1), np.nan)
    return summarize(table, evaluation.params.areaRngLbl)


def summarize(table: NDArray[np.float64], areas: Sequence[str]) -> AveragePrecision:
    """Return the means of a `table` (10, k, a) of AP in [0, 1], NaN without truth.

    Its axes are IoU threshold .5:.05:.95, category and area. Raises DataError if no category has
    any truth.
    """
    everywhere = table[..., areas.index("all")]
    if np.isnan(everywhere).all():
        raise DataError("truth: no annotated object of this task in any image, so AP is undefined")
    ap, ap50, ap75 = (
        float(100 * np.nanmean(values)) for values in (everywhere, everywhere[0], everywhere[5])
    )
    by_area = {
        area: float(100 * np.nanmean(values))
        for area, values in zip(areas, np.moveaxis(table, -1, 0), strict=True)
        if not np.isnan(values).all()
    }
    return AveragePrecision(ap, ap50, ap75, *map(by_area.get, ("small", "medium", "large")))


def prepared(
    truth: Coco, detections: Sequence[Record], task: str, *, sigmas: Sequence[float] | None = None
) -> Any:
    """Return pycocotools' COCOeval, checked and ready for `evaluate()`; the inputs stay untouched.

    Raises DataError naming the first malformed record.
    """
    if task not in TASKS:
        raise DataError(f"task: expected one of {list(TASKS)}, found {task!r}")
    if not truth.categories:
        raise DataError("truth: expected categories to score, found none")
    with silence():
        evaluation = COCOeval(iouType=TASKS[task])
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.asarray(sigmas, dtype=float)
        points = len(evaluation.params.kpt_oks_sigmas) if task == "keypoints" else 0
        evaluation.cocoGt = _index(truth, _truths(truth, points))
        results = _detections(truth, detections, points)
        # loadRes fails on an empty list
        evaluation.cocoDt = evaluation.cocoGt.loadRes(results) if results else _index(truth, [])
    evaluation.params.imgIds = sorted({image["id"] for image in truth.images})
    evaluation.params.catIds = sorted({category["id"] for category in truth.categories})
    evaluation.params.maxDets = [max_detections(truth, task)]
    return evaluation


def silence() -> AbstractContextManager[Any]:
    """Return a context that silences pycocotools."""
    return redirect_stdout(io.StringIO())


def _index(truth: Coco, annotations: list[Record]) -> Any:
    index = COCO()
    index.dataset = {**vars(truth), "annotations": annotations}
    index.createIndex()
    return index


def _truths(truth: Coco, points: int) -> list[Record]:
    check = _checker(truth, points)
    copies = []
    # in pycocotools id 0 means no match, and it drops repeated ids: so ids restart at 1
    for number, annotation in enumerate(truth.annotations, start=1):
        copy = {"iscrowd": 0, **annotation, "id": number}
        if points:
            copy["keypoints"] = annotation.get("keypoints") or [0] * (3 * points)
        check(f"truth.annotations[{number - 1}]", copy, ("bbox", "area"))
        if points and "num_keypoints" not in annotation:
            copy["num_keypoints"] = sum(v > 0 for v in copy["keypoints"][2::3])
        copies.append(copy)
    return copies


def _detections(truth: Coco, detections: Sequence[Record], points: int) -> list[Record]:
    check = _checker(truth, points)
    boxed = [d.get("bbox") is not None and np.size(d["bbox"]) > 0 for d in detections]
    if any(boxed) and not all(boxed):
        raise DataError(f"detections[{boxed.index(False)}]: no bbox, although others have one")
    needed = ("score", "bbox") if any(boxed) or not points else ("score",)
    kept = ("image_id", "category_id", *needed, *(("keypoints",) if points else ()))
    for number, detection in enumerate(detections):
        check(f"detections[{number}]", detection, needed)
    return [{name: detection[name] for name in kept} for detection in detections]


def _checker(truth: Coco, points: int) -> Callable[[str, Record, tuple[str, ...]], None]:
    images = {image["id"] for image in truth.images}
    categories = {category["id"] for category in truth.categories}
    sizes = {"bbox": 4, "area": 1, "score": 1, "keypoints": 3 * points}

    def check(place: str, record: Record, names: tuple[str, ...]) -> None:
        for key, known in (("image_id", images), ("category_id", categories)):
            if record.get(key) not in known:
                raise DataError(f"{place}: {key} {record.get(key)!r} is not in the truth")
        for name in (*names, "keypoints") if points else names:
            _check_numbers(f"{place}.{name}", record.get(name), sizes[name])

    return check


def _check_numbers(place: str, value: Any, size: int) -> None:
    try:
        numbers = [float(value)] if size == 1 else [float(number) for number in value]
    except (TypeError, ValueError):
        raise DataError(f"{place}: expected {size} finite number(s), found {value!r}") from None
    if len(numbers) != size or not all(map(math.isfinite, numbers)):
        hint = "; other than 17 keypoints need their own sigmas" if len(numbers) != size else ""
        raise DataError(f"{place}: expected {size} finite number(s), found {value!r}{hint}")
