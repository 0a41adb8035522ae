"""Completion of published annotations: fields that are absent or cannot be used."""

import math
from collections import Counter
from pathlib import Path
from reprlib import repr as excerpt
from typing import Any

from pycocotools import mask as masks

from datastill.coco.box_convention import Size
from datastill.coco.format import Record
from datastill.coco.keypoint_box import Point, box_rule, keypoint_box
from datastill.errors import DataError

MIN_SIDE = 0.01  # pixels of a box: smaller ones may vanish in float32

_CROWD, _NO_CROWD = (1, "1", "true"), (None, 0, "", "0", "false")
_POLYGON_LIMIT = 1e5  # pixels: pycocotools' memory grows with the coordinates
_FARTHEST = 1e6  # pixels of any other coordinate, far beyond every image
_LARGEST = _FARTHEST**2
_WITHOUT_AREA = (
    "annotations have an area or a segmentation that cannot be used; the area is that of the mask "
    "or else of the box"
)


def expect(holds: Any, subject: Path | str, expected: str, actual: Any) -> None:
    """Raise DataError unless `holds`."""
    if not holds:
        raise DataError(f"{subject}: expected {expected}, found {actual}")


def complete(
    annotation: Record,
    category: Record,
    sizes: dict[int, Size],
    notes: Counter[str],
    keypoint_margin: float,
) -> Record:
    """Return an annotation of `category` with all fields; counts in `notes` what is replaced.

    `keypoint_margin` is that of `keypoint_box`, for annotations without a box.
    Raises DataError naming an annotation whose fields contradict COCO's format.
    """
    subject, image = f"annotation {annotation['id']}", annotation.get("image_id")
    expect(image in sizes, subject, "the id of an image", repr(image))
    crowd = annotation.get("iscrowd")
    crowd = crowd.lower() if isinstance(crowd, str) else crowd
    expect(crowd in _CROWD + _NO_CROWD, subject, "iscrowd 0 or 1", excerpt(crowd))
    keypoints = _keypoints(subject, annotation, category)
    size, marked = sizes[annotation["image_id"]], _marked(annotation.get("keypoints"))
    bbox: Any = annotation.get("bbox")
    valid = _are_numbers(bbox, 4)
    if marked and (bbox in (None, []) or (valid and min(bbox[2:]) < MIN_SIDE)):
        notes[f"annotations have no box; theirs is {box_rule(keypoint_margin)}"] += 1
        bbox = keypoint_box(marked, size, keypoint_margin)
    else:
        expect(valid, subject, "bbox (x, y, w, h)", excerpt(bbox))
    normalized = {
        "id": annotation["id"],
        "image_id": image,
        "category_id": annotation["category_id"],
        "bbox": list(bbox),
        "area": _area(annotation, bbox, size, notes),
        "iscrowd": int(crowd in _CROWD),
    }
    if keypoints:
        normalized |= {"keypoints": keypoints, "num_keypoints": len(marked)}
    return normalized


def _keypoints(subject: str, annotation: Record, category: Record) -> list[float]:
    """Return the keypoints, 0, 0, 0 for one without coordinates; raises DataError naming a bad one.

    Without coordinates are those of which x or y is null or NaN and v is 0, null or NaN.
    """
    names = category.get("keypoints") or []
    given, length = annotation.get("keypoints"), 3 * len(names)
    if not names or not given:
        return [0] * length
    expected = f"{length} numbers for the keypoints of {category['name']!r}"
    actual = f"{len(given):,}" if isinstance(given, list) else excerpt(given)
    expect(isinstance(given, list) and len(given) == length, subject, expected, actual)
    if _are_numbers(given, length):
        return given
    keypoints: list[float] = []
    for name, point in zip(names, zip(*[iter(given)] * 3, strict=True), strict=True):
        x, y, v = (_is_absent(value) for value in point)
        unmarked = (x or y) and (v or point[2] == 0)
        actual = f"{excerpt([*point])} as {name!r}"
        expect(unmarked or _are_numbers([*point], 3), subject, expected, actual)
        keypoints += [0, 0, 0] if unmarked else point
    return keypoints


def _is_absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _marked(keypoints: Any) -> list[Point]:
    """Return the marked ones of x1, y1, v1, ..., also where `task` does not learn them."""
    if not isinstance(keypoints, list):
        return []
    triples = zip(*[iter(keypoints)] * 3, strict=False)
    return [(x, y) for x, y, v in triples if _are_numbers([x, y, v], 3) and v > 0]


def _are_numbers(values: Any, count: int) -> bool:
    try:
        return (
            isinstance(values, list)
            and len(values) == count
            and all(-_FARTHEST <= value <= _FARTHEST for value in values)
        )
    except TypeError:
        return False


def _area(annotation: Record, bbox: list[float], size: Size, notes: Counter[str]) -> float:
    """Return the area if it is above 0, or else that of the mask, or else that of the box."""
    area, shape = annotation.get("area"), annotation.get("segmentation")
    if isinstance(area, int | float) and 0 < area <= _LARGEST:
        return area
    mask_area = _mask_area(shape, size) if shape else 0.0
    if area is not None or mask_area is None:
        notes[_WITHOUT_AREA] += 1
    return mask_area or float(bbox[2] * bbox[3])


def _mask_area(shape: Any, size: Size) -> float | None:
    """Return the area of polygons or of RLE, with or without compression, None for others."""
    width, height = size
    try:
        if isinstance(shape, list):
            if not all(abs(value) <= _POLYGON_LIMIT for polygon in shape for value in polygon):
                return None
            shape = masks.merge(masks.frPyObjects(shape, height, width))
        elif isinstance(shape["counts"], list):
            shape = masks.frPyObjects(shape, height, width)
        elif (ord(shape["counts"][-1]) - 48) & 32:  # cut off: pycocotools would read past the end
            return None
        return float(masks.area(shape))
    except Exception:  # as pycocotools raises
        return None
