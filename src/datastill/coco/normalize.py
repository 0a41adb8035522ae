"""COCO files as COCO means them: what they leave out is worked out, what is wrong is named."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pycocotools import mask as masks

from datastill.coco.format import Coco, Record
from datastill.coco.skeleton import build_skeleton, keypoint_category
from datastill.errors import DataError

_LEAST_SIDE = 0.01  # pixels of a box: less may vanish in float32


def read_published(path: Path) -> Coco:
    """Read COCO JSON of others, which has no `annotations` where it lists images alone.

    Raises DataError, naming the file, where it is absent or no COCO JSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; correct its name or fetch it") from None
    except OSError as error:
        raise DataError(f"{path}: no readable file: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path}: expected COCO JSON, found text that is none: {error}") from None
    given = content if isinstance(content, dict) else {}
    sections = {"annotations": [], **given}
    for name in ("images", "annotations", "categories"):
        if not _records(sections.get(name)):
            raise DataError(f"{path}: expected a list of {name} that all have an id, found none")
    return Coco(sections["images"], sections["annotations"], sections["categories"])


def _records(section: Any) -> bool:
    return isinstance(section, list) and all(isinstance(r, dict) and "id" in r for r in section)


def learned_categories(coco: Coco, task: str) -> list[Record]:
    """Return the categories that `task` learns: the one with keypoints, or id and name of all by
    ascending id.

    Raises DataError where there is none or one has no whole number as its id or no name, and for
    keypoints where several have them or the skeleton is malformed.
    """
    if task == "boxes":
        _check_named(coco.categories)
        named = [{"id": each["id"], "name": each["name"]} for each in coco.categories]
        return sorted(named, key=lambda each: each["id"])
    category = keypoint_category(coco.categories)
    if category is None:
        raise DataError("expected one category with keypoints, found none")
    _check_named([category])
    build_skeleton([category])
    return [category]


def _check_named(categories: list[Record]) -> None:
    wrong = [c for c in categories if not _whole(c["id"]) or not isinstance(c.get("name"), str)]
    if wrong or not categories:
        found = f"found {wrong[0]}" if wrong else "found none"
        raise DataError(f"expected categories with a number as their id and a name, {found}")


def _whole(number: Any) -> bool:
    """Return whether it is an id that every file and tensor of ours holds."""
    return isinstance(number, int) and -(2**63) <= number < 2**63


def normalize(coco: Coco, *categories: Record) -> tuple[Coco, int]:
    """Return all that is annotated of `categories`, without masks, and how much was left out.

    What is missing is worked out: of a category with keypoints, `keypoints` none marked and
    `num_keypoints` counted from v; `iscrowd` 0, `area`, also where it is 0, that of the mask
    (polygons or RLE) or else of the box. Boxes without extent are left out. Raises DataError naming
    the image or annotation that is malformed, and where the file means something else by one of
    `categories`.
    """
    for category in categories:
        _same_category(coco, category)
    images = [_image(image) for image in coco.images]
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    for key, what in (("id", "an id"), ("file_name", "a file")):
        (most, times), *_ = Counter(i[key] for i in images).most_common(1) or [(None, 0)]
        if times > 1:
            raise DataError(f"image {most}: expected {what} of its own, found it {times} times")
    for annotation in coco.annotations:
        if "category_id" not in annotation:
            raise DataError(f"annotation {annotation['id']}: expected a category_id, found none")
    known = {category["id"]: category for category in categories}
    mine = [a for a in coco.annotations if a["category_id"] in known]
    annotations = [_annotation(a, known[a["category_id"]], sizes) for a in mine]
    kept = [a for a in annotations if min(a["bbox"][2:]) >= _LEAST_SIDE]
    return Coco(images, kept, list(categories)), len(annotations) - len(kept)


def _same_category(coco: Coco, category: Record) -> None:
    theirs = next((other for other in coco.categories if other["id"] == category["id"]), None)
    if theirs is None and not coco.annotations:
        return
    name, keypoints = category["name"], category.get("keypoints")
    if theirs is None or theirs.get("name") != name:
        found = f"{theirs.get('name')!r} under it" if theirs else "no such id"
        raise DataError(f"category {category['id']}: expected {name!r} as in val, found {found}")
    if keypoints and theirs.get("keypoints") and theirs["keypoints"] != keypoints:
        raise DataError(
            f"category {name!r}: expected val's keypoints {keypoints}, found {theirs['keypoints']}"
        )


def _image(image: Record) -> Record:
    if not isinstance(image.get("file_name"), str):
        raise DataError(f"image {image['id']}: expected a file_name, found none")
    size = image.get("width"), image.get("height")
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise DataError(f"image {image['id']}: expected width and height in pixels, found {size}")
    if not _whole(image["id"]):
        raise DataError(f"image {image['id']!r}: expected a whole number as its id, of 64 bits")
    return {key: image[key] for key in ("id", "file_name", "width", "height")}


def _annotation(
    annotation: Record, category: Record, sizes: Mapping[int, tuple[int, int]]
) -> Record:
    who = f"annotation {annotation['id']}"
    size = sizes.get(annotation["image_id"]) if "image_id" in annotation else None
    bbox, area = annotation.get("bbox"), annotation.get("area")
    if size is None:
        raise DataError(f"{who}: expected the id of an image, found {annotation.get('image_id')}")
    if not _numbers(bbox, 4):
        raise DataError(f"{who}: expected bbox (x, y, w, h), found {bbox}")
    keypoints = _keypoints(who, annotation, category)
    if area is not None and not _numbers([area], 1):
        raise DataError(f"{who}: expected an area in square pixels, found {area}")
    return {
        "id": annotation["id"],
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "bbox": bbox,
        "area": area if area and area > 0 else _area(annotation, size),
        "iscrowd": int(annotation.get("iscrowd") or 0),
        **keypoints,
    }


def _keypoints(who: str, annotation: Record, category: Record) -> Record:
    """Return `keypoints` and `num_keypoints`, nothing of a category without any."""
    if not category.get("keypoints"):
        return {}
    length = 3 * len(category["keypoints"])
    keypoints = annotation.get("keypoints") or [0] * length
    if not _numbers(keypoints, length):
        raise DataError(
            f"{who}: expected {length} numbers for the keypoints of {category['name']!r}, "
            f"found {keypoints}"
        )
    return {"keypoints": keypoints, "num_keypoints": sum(v > 0 for v in keypoints[2::3])}


def _numbers(values: Any, count: int) -> bool:
    try:
        return isinstance(values, list) and len(values) == count and all(map(math.isfinite, values))
    except TypeError:
        return False


def _area(annotation: Mapping[str, Any], size: tuple[int, int]) -> float:
    of_box = float(annotation["bbox"][2] * annotation["bbox"][3])
    shape = annotation.get("segmentation")
    if not shape:
        return of_box
    try:
        return float(masks.area(_encoded(shape, *size))) or of_box
    except Exception as error:  # pycocotools raises it bare
        raise DataError(
            f"annotation {annotation['id']}: expected polygons or RLE as its segmentation, "
            f"found what pycocotools cannot read: {error}"
        ) from None


def _encoded(shape: Any, width: int, height: int) -> Any:
    """Return the RLE of polygons, or of an RLE whose counts are plain numbers."""
    if isinstance(shape, dict):
        plain = isinstance(shape["counts"], list)
        return masks.frPyObjects(shape, height, width) if plain else shape
    return masks.merge(masks.frPyObjects(shape, height, width))
