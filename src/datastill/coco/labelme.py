"""LabelMe JSON, one file per image, read as COCO."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

from datastill.coco.format import Coco, Record, image_id
from datastill.coco.shapes import Instance, Shape, as_coco, join
from datastill.errors import DataError
from datastill.io import read_json
from datastill.progress import note_once

_REGIONS = ("rectangle", "polygon", "circle", "mask")  # of a mask, only its corners are read


def read_labelme(path: Path) -> Coco:
    """Read the JSON files in a folder and the folders in it; other JSON is left out.

    Rectangles, polygons, circles and masks are objects of the category that is their label; points
    are their keypoints, named by their labels. Shapes with one `group_id` are one object, unless
    its regions differ in their labels; a point without belongs to the only object of its image, or
    the only one whose box holds it. Points on an image without regions are one object. Categories
    and keypoints are in alphabetical order.
    Raises DataError naming the file that is malformed, or has a point that may be of several
    objects.
    """
    instances: list[Instance] = []
    images: list[Record] = []
    for file in sorted(path.rglob("*.json")):
        content = read_json(file, "LabelMe JSON", "correct or remove it")
        if isinstance(content, dict) and {"shapes", "imagePath"} <= content.keys():
            try:
                images.append(_image(path, file, content))
                instances += join(images[-1], _shapes(file, content["shapes"]))
            except DataError as error:
                raise DataError(f"{file}: {error}; correct the file") from None
    return as_coco(images, instances)


def _image(path: Path, file: Path, content: dict[str, Any]) -> Record:
    """Return the record of an image; `imagePath` is relative to its file, here to `path`."""
    folders = file.parent.relative_to(path).parts
    parts = [part for part in str(content["imagePath"]).replace("\\", "/").split("/") if part]
    above = next((i for i, part in enumerate(parts) if part not in (".", "..")), len(parts))
    folders = folders[: max(0, len(folders) - parts[:above].count(".."))]
    name = "/".join((*folders, *parts[above:]))
    size = [content.get(key) for key in ("imageWidth", "imageHeight")]
    if not name or not all(isinstance(side, int) and side > 0 for side in size):
        raise DataError(f"expected imagePath, imageWidth and imageHeight, found {name!r}, {size}")
    return {"id": image_id(name), "file_name": name, "width": size[0], "height": size[1]}


def _shapes(file: Path, given: Any) -> list[Shape]:
    if not isinstance(given, list) or not all(isinstance(shape, dict) for shape in given):
        raise DataError("expected shapes as a list of objects")
    shapes = []
    left_out: Counter[str] = Counter()
    for each in given:
        kind, label, points = (each.get(key) for key in ("shape_type", "label", "points"))
        if kind not in (*_REGIONS, "point"):
            left_out[str(kind)] += 1
            continue
        if not isinstance(label, str) or not _are_points(points, kind):
            raise DataError(f"expected a {kind} with a label and points, found {label!r}, {points}")
        group = each.get("group_id")
        shapes.append(
            Shape(
                label, kind, [(x, y) for x, y in points], str(group) if group is not None else None
            )
        )
    if left_out:
        kinds = ", ".join(sorted(left_out))
        note_once(f"{file.parent}: shapes other than regions and points are left out: {kinds}")
    return shapes


def _are_points(points: Any, kind: str) -> bool:
    """Return whether `points` are as many x, y as a shape of this kind has."""
    try:
        finite = all(math.isfinite(value) for point in points for value in point)
        counts = {len(point) for point in points}
    except TypeError:
        return False
    needed = {"point": (1, 1), "circle": (2, 2), "polygon": (3, math.inf)}
    fewest, most = needed.get(kind, (2, math.inf))
    return finite and counts == {2} and fewest <= len(points) <= most
