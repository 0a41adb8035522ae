"""COCO files as COCO means them: what they leave out is worked out, what is wrong is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pycocotools import mask as masks

from datastill.data.coco import Coco, Record
from datastill.errors import DataError


def keypoint_category(coco: Coco) -> Record:
    """Return the one category with keypoints; raises DataError where there is none or several."""
    named = [category for category in coco.categories if category.get("keypoints")]
    if len(named) != 1:
        names = ", ".join(str(category["name"]) for category in named) or "none"
        raise DataError(f"expected one category with keypoints, found {names}")
    return named[0]


def tidy(coco: Coco, category: Record) -> tuple[Coco, int]:
    """Return all that is annotated of `category`, without masks, and how much was left out.

    What is missing is worked out: `keypoints` none marked, `num_keypoints` counted from v,
    `iscrowd` 0, `area` that of the mask (polygons or RLE) or else of the box. Boxes without extent
    are left out. Raises DataError naming the image or annotation that is malformed, and where the
    file has other keypoints for `category`.
    """
    _same_keypoints(coco, category)
    sizes = {image["id"]: _size(image) for image in coco.images}
    if len(sizes) != len(coco.images):
        raise DataError("two images have one id")
    images = [_image(image) for image in coco.images]
    mine = [a for a in coco.annotations if a.get("category_id") == category["id"]]
    annotations = [_annotation(a, category, sizes[a["image_id"]]) for a in mine]
    kept = [a for a in annotations if a["bbox"][2] > 0 and a["bbox"][3] > 0]
    return Coco(images, kept, [category]), len(annotations) - len(kept)


def _same_keypoints(coco: Coco, category: Record) -> None:
    for theirs in coco.categories:
        names = theirs.get("keypoints")
        if theirs["id"] == category["id"] and names and names != category["keypoints"]:
            raise DataError(
                f"category {theirs['name']!r}: expected val's keypoints {category['keypoints']}, "
                f"found {names}"
            )


def _size(image: Record) -> tuple[int, int]:
    size = image.get("width"), image.get("height")
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise DataError(f"image {image['id']}: expected width and height in pixels, found {size}")
    return size  # type: ignore[return-value]


def _image(image: Record) -> Record:
    if not isinstance(image.get("file_name"), str):
        raise DataError(f"image {image['id']}: expected a file_name, found none")
    return {key: image[key] for key in ("id", "file_name", "width", "height")}


def _annotation(annotation: Record, category: Record, size: tuple[int, int]) -> Record:
    length = 3 * len(category["keypoints"])
    keypoints = annotation.get("keypoints") or [0] * length
    bbox = annotation.get("bbox")
    if not _numbers(bbox, 4):
        raise DataError(f"annotation {annotation['id']}: expected bbox (x, y, w, h), found {bbox}")
    if not _numbers(keypoints, length):
        raise DataError(
            f"annotation {annotation['id']}: expected {length} numbers for the keypoints of "
            f"{category['name']!r}, found {keypoints}"
        )
    area = annotation.get("area")
    return {
        "id": annotation["id"],
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "bbox": bbox,
        "area": _area(annotation, size) if area is None else area,
        "iscrowd": int(annotation.get("iscrowd") or 0),
        "keypoints": keypoints,
        "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
    }


def _numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, int | float) for value in values)
    )


def _area(annotation: Mapping[str, Any], size: tuple[int, int]) -> float:
    shape = annotation.get("segmentation")
    width, height = size
    if isinstance(shape, dict):
        plain = isinstance(shape["counts"], list)
        code = masks.frPyObjects(shape, height, width) if plain else shape
        return float(masks.area(code))
    if shape:
        return float(masks.area(masks.merge(masks.frPyObjects(shape, height, width))))
    return float(annotation["bbox"][2] * annotation["bbox"][3])
