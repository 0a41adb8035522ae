"""Pixel errors of keypoints on the validation set, and their bootstrap samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Coco, Record
from datastill.evaluation.bootstrap import interval
from datastill.evaluation.coco_ap import prepared
from datastill.evaluation.resampling import family_draws, image_families

NAMES = ("rmse", "median", "pck05", "pck10", "detected")
IN_PIXELS = ("rmse", "median")  # the others are in percent
LIMITS = {"pck05": 0.05, "pck10": 0.10}  # as shares of the diagonal of the annotated box
RATIOS = {  # of sums over images
    "rmse": ("squares", "errors"),
    "pck05": ("pck05", "labelled"),
    "pck10": ("pck10", "labelled"),
    "detected": ("detected", "instances"),
}


@dataclass(frozen=True)
class PixelErrors:
    """Errors of the labelled keypoints of n instances.

    family    (i,)    number of the family of every image, by ascending image id
    image     (n,)    index of each instance's image
    squared   (n, k)  in squared pixels of the original image; NaN where the keypoint is not
                      labelled, infinite where the instance is missed
    diagonal  (n,)    of the annotated boxes, in pixels
    names     (k,)    of the keypoints
    """

    family: NDArray[np.int64]
    image: NDArray[np.int64]
    squared: NDArray[np.float64]
    diagonal: NDArray[np.float64]
    names: tuple[str, ...]

    @property
    def families(self) -> int:
        """The number of families: of independent observations."""
        return int(self.family.max(initial=-1)) + 1

    @cached_property
    def sums(self) -> dict[str, NDArray[Any]]:
        """Sums over the keypoints or instances of every image, (i,): those that RATIOS names."""
        labelled, detected = ~np.isnan(self.squared), np.isfinite(self.squared)
        reach = {name: np.square(limit * self.diagonal)[:, None] for name, limit in LIMITS.items()}
        terms = {
            "squares": np.where(detected, self.squared, 0),
            "errors": detected,
            "labelled": labelled,
            **{name: self.squared <= limit for name, limit in reach.items()},
            "detected": detected.any(axis=1, keepdims=True),
            "instances": labelled.any(axis=1, keepdims=True),
        }
        images = len(self.family)
        return {
            name: np.bincount(self.image, term.sum(axis=1), minlength=images)
            for name, term in terms.items()
        }

    @cached_property
    def ascending(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Errors of the keypoints of detected instances, in pixels, and their images, (m,)."""
        detected = np.isfinite(self.squared)
        image, values = self.image[np.nonzero(detected)[0]], np.sqrt(self.squared[detected])
        order = np.argsort(values, kind="stable")
        return values[order], image[order]


def pixel_errors(
    truth: Coco, detections: Sequence[Record], *, sigmas: Sequence[float] | None = None
) -> PixelErrors:
    """Match `detections` (COCO results) with the instances of `truth` that have labelled keypoints.

    The detections of an image and category are taken by descending score; each takes the free
    instance of the highest OKS or, where several have it, of the smallest mean distance. A false
    detection takes one too, and its errors count; only those of crowds and of instances without
    labels are left out: most of their keypoints lie in that box, and more than in any other.
    `sigmas` and DataError as in `coco_ap.evaluate`.
    """
    evaluation = prepared(truth, detections, "keypoints", sigmas=sigmas)
    variances = np.square(2 * evaluation.params.kpt_oks_sigmas)
    ids, cells = evaluation.params.imgIds, _cells(evaluation.cocoDt.dataset["annotations"])
    index = {image_id: i for i, image_id in enumerate(ids)}
    image, squared, boxes = [], [np.zeros((0, len(variances)))], []
    for cell, instances in _cells(evaluation.cocoGt.dataset["annotations"]).items():
        counted = [a for a in instances if not a["iscrowd"] and any(a["keypoints"][2::3])]
        others = [a for a in instances if a not in counted]
        scored = sorted(cells.get(cell, []), key=lambda detection: -detection["score"])
        scored = [each for each in scored if not _is_of(others, counted, each)]
        squared += [_match(counted, scored, variances)] if counted else []
        image += [index[cell[0]]] * len(counted)
        boxes += [annotation["bbox"][2:] for annotation in counted]
    return PixelErrors(
        image_families(truth.images, ids),
        np.array(image, dtype=np.int64),
        np.concatenate(squared),
        np.hypot(*np.reshape(np.array(boxes, dtype=float), (-1, 2)).T),
        truth.keypoint_names(),
    )


def _is_of(others: Sequence[Record], counted: Sequence[Record], detection: Record) -> bool:
    """Return whether `detection` lies rather in the box of one of `others`."""
    shares = ([_inside(a, detection) for a in each] for each in (others, counted))
    share, least = (max(each, default=0) for each in shares)
    return share > max(0.5, least)


def _inside(instance: Record, detection: Record) -> float:
    """Return the share of the keypoints of `detection` in the box of `instance`."""
    x, y, width, height = instance["bbox"]
    points = np.reshape(detection["keypoints"], (-1, 3))[:, :2] - (x, y)
    return float(((points >= 0) & (points <= (width, height))).all(axis=1).mean())


def _cells(records: Sequence[Record]) -> dict[tuple[Any, Any], list[Record]]:
    cells: dict[tuple[Any, Any], list[Record]] = {}
    for record in records:
        cells.setdefault((record["image_id"], record["category_id"]), []).append(record)
    return cells


def _match(
    instances: Sequence[Record], scored: Sequence[Record], variances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the squared errors of g `instances` of a cell, (g, k); `scored` has the best first."""
    points, given = _keypoints(instances), _keypoints(scored)
    labelled = points[..., 2] > 0
    squared = np.where(labelled, np.inf, np.nan)
    distance = np.square(given[:, None, :, :2] - points[..., :2]).sum(axis=-1)  # (d, g, k)
    areas = np.array([a["area"] for a in instances])[:, None] + np.spacing(1)
    oks = np.mean(np.exp(-distance / variances / areas / 2), axis=2, where=labelled)
    mean = np.mean(np.sqrt(distance), axis=2, where=labelled)
    free = np.ones(len(instances), dtype=bool)
    for errors, row in zip(distance, np.dstack([-oks, mean]), strict=True):
        if not free.any():
            break
        taken = min(np.flatnonzero(free), key=lambda g: tuple(row[g]))
        squared[taken, labelled[taken]] = errors[taken, labelled[taken]]
        free[taken] = False
    return squared


def _keypoints(records: Sequence[Record]) -> NDArray[np.float64]:
    points = np.array([record["keypoints"] for record in records], dtype=float)
    return points.reshape(len(records), -1, 3) if records else np.zeros((0, 1, 3))


def measure(
    errors: PixelErrors, name: str, weights: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """Return one of NAMES with each image counted `weights` (b, i) times, (b,); by default once.

    RMSE and median are those of the keypoints of detected instances, PCK that of all: missed is
    wrong. A value is NaN where there is nothing to measure.
    """
    chosen = np.ones((1, len(errors.family)), dtype=np.int32) if weights is None else weights
    if name == "median":
        return _medians(errors, chosen)
    over, under = (chosen @ errors.sums[part] for part in RATIOS[name])
    with np.errstate(invalid="ignore"):
        return np.sqrt(over / under) if name == "rmse" else 100 * over / under


def _medians(errors: PixelErrors, weights: NDArray[Any]) -> NDArray[np.float64]:
    values, image = errors.ascending
    reached = np.cumsum(weights[:, image], axis=1)
    total = (weights @ errors.sums["errors"]).astype(np.int64)
    padded = np.append(values, np.nan)  # the last: the median of nothing
    middle = [(reached <= m[:, None]).sum(axis=1) for m in ((total - 1) // 2, total // 2)]
    return padded[middle].mean(axis=0)


def samples(
    errors: PixelErrors, name: str, resamples: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """Return one of NAMES in every draw of the families, (resamples,): the draws of `bootstrap`."""
    items = len(errors.ascending[0]) if name == "median" else 1
    draws = family_draws(errors.family, items, resamples, seed)
    return np.concatenate([measure(errors, name, drawn) for drawn in draws])


def pixel_metrics(errors: PixelErrors, resamples: int) -> dict[str, Any]:
    """Return all of NAMES, "pixel_intervals" (95 %) and "by_keypoint", with two decimals.

    None stands for a value or an interval that is undefined.
    """
    intervals = {name: _bounds(errors, name, resamples) for name in NAMES}
    parts = (replace(errors, squared=errors.squared[:, [k]]) for k in range(len(errors.names)))
    by_keypoint = {name: _rounded(part) for name, part in zip(errors.names, parts, strict=True)}
    return _rounded(errors) | {"pixel_intervals": intervals, "by_keypoint": by_keypoint}


def _rounded(errors: PixelErrors) -> dict[str, float | None]:
    values = {name: round(float(measure(errors, name)[0]), 2) for name in NAMES}
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _bounds(errors: PixelErrors, name: str, resamples: int) -> list[float] | None:
    drawn, highest = samples(errors, name, resamples), math.inf if name in IN_PIXELS else 100
    if np.isnan(drawn).all():
        return None
    bounds = [round(end, 2) for end in interval(drawn, errors.families, highest=highest)]
    return bounds if math.isfinite(bounds[1]) else None
