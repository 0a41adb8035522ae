"""What is wrong with a set's annotations, before anything learns from them?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from datastill.coco.format import Coco, Record

_MARGIN = 1.0  # pixels by which COCO's own boxes and keypoints pass the border of an image


def lint(coco: Coco) -> list[str]:
    """Return a sentence per kind of fault, with how often it occurs and where first."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in coco.images}
    return [
        *_twice("image ids", [image["id"] for image in coco.images]),
        *_twice("file names", [image["file_name"] for image in coco.images]),
        *_twice("annotation ids", [annotation["id"] for annotation in coco.annotations]),
        *_outside("boxes", [a for a in coco.annotations if _box_leaves(a, sizes[a["image_id"]])]),
        *_outside(
            "keypoints", [a for a in coco.annotations if _points_leave(a, sizes[a["image_id"]])]
        ),
    ]


def _twice(what: str, values: list[Any]) -> Iterator[str]:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        yield f"{len(repeated)} {what} are used more than once, such as {repeated[0]}"


def _outside(what: str, annotations: list[Record]) -> Iterator[str]:
    if annotations:
        first = annotations[0]
        yield (
            f"{len(annotations)} annotations have {what} outside their image, such as "
            f"{first['id']} on image {first['image_id']}"
        )


def _box_leaves(annotation: Record, size: tuple[int, int]) -> bool:
    x, y, width, height = annotation["bbox"]
    return min(x, y) < -_MARGIN or x + width > size[0] + _MARGIN or y + height > size[1] + _MARGIN


def _points_leave(annotation: Record, size: tuple[int, int]) -> bool:
    if not annotation.get("num_keypoints"):
        return False
    points = annotation["keypoints"]
    marked = [(x, y) for x, y, v in zip(*[iter(points)] * 3, strict=True) if v > 0]
    xs, ys = zip(*marked, strict=True)
    return min(*xs, *ys) < -_MARGIN or max(xs) > size[0] + _MARGIN or max(ys) > size[1] + _MARGIN
