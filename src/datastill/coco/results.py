"""Predictions as COCO records: their reader, how many an image may have, and rounded numbers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datastill.coco.format import Coco, Record
from datastill.errors import DataError
from datastill.instances import Instances
from datastill.io import read_json

COCO_DETECTIONS = {"keypoints": 20, "boxes": 100}  # an image, COCO's own limits


def read_results(path: Path, advice: str) -> list[Record]:
    """Return the detections of a file that stage `evaluate` wrote.

    Raises DataError, with `advice`, if it is absent or damaged.
    """
    results = read_json(path, "COCO results", advice)
    if not isinstance(results, list) or not all(map(_is_result, results)):
        raise DataError(f"{path}: expected COCO results, found other JSON; {advice}")
    return results


def _is_result(record: Any) -> bool:
    """Return whether a record has the ids, a score, and keypoints or a box of numbers."""
    if not isinstance(record, dict) or type(record.get("score")) not in (int, float):
        return False
    shape = record.get("keypoints", record.get("bbox"))
    ids = {type(record.get(key)) for key in ("image_id", "category_id")}
    return ids == {int} and isinstance(shape, list) and {*map(type, shape)} <= {int, float}


def max_detections(coco: Coco, task: str) -> int:
    """Return how many detections an image may have: COCO's own limit, unless an image of `coco` has
    more objects; then twice as many as the fullest one.
    """
    marked = (a for a in coco.annotations if not a.get("iscrowd"))
    counted = (a for a in marked if task == "boxes" or a.get("num_keypoints", 1))
    objects = Counter(annotation["image_id"] for annotation in counted)
    most = max(objects.values(), default=0)
    return COCO_DETECTIONS[task] if most <= COCO_DETECTIONS[task] else 2 * most


def coco_results(instances: Instances, decimals: Mapping[str, ArrayLike]) -> list[Record]:
    """Return COCO results without an image_id: category_id and the fields named in `decimals`.

    Those are `score`, `bbox` (x, y, width, height) and `keypoints` (x, y, score)*k, in the order of
    `decimals`; there are no keypoints if k = 0.
    """
    n, k = instances.keypoints.shape[:2]
    columns = {
        "score": instances.scores.cpu().numpy(),
        "bbox": xywh(instances.boxes.cpu().numpy()),
        "keypoints": instances.keypoints.cpu().numpy(),
    }
    fields: dict[str, Sequence[Any]] = {"category_id": instances.labels.tolist()}
    for name, places in decimals.items():
        values = rounded(columns[name].astype(np.float64), places)
        if name != "keypoints":
            fields[name] = values.tolist()
        elif k:
            fields[name] = values.reshape(n, 3 * k).tolist()
    return [*to_records(fields)]


def to_records(fields: Mapping[str, Sequence[Any]]) -> Iterator[Record]:
    """Yield a record for each row of `fields`, columns by name."""
    return (dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True))


def xywh(boxes: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return `boxes` (n, 4), x1 y1 x2 y2, as COCO's x, y, width and height."""
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def rounded(values: NDArray[np.float64], decimals: ArrayLike) -> NDArray[np.float64]:
    """Return `round` of each of `values`, below 1e9 in magnitude.

    `decimals` is one number or an array that broadcasts to `values`. Ties are those of the exact
    value; np.round multiplies first and so finds ties if there are none.
    """
    scale = np.power(10.0, decimals)
    scaled = values * scale
    result = np.rint(scaled) / scale
    near_tie = np.abs(scaled - np.floor(scaled) - 0.5) < 1e-5
    digits = np.broadcast_to(decimals, values.shape)[near_tie].tolist()
    result[near_tie] = [*map(round, values[near_tie].tolist(), digits)]
    return result
