"""LabelMe JSON, one file per image, read as COCO."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datastill.coco.format import Coco, Record, image_id
from datastill.coco.keypoint_box import BOX_RULE, Point, keypoint_box
from datastill.errors import DataError
from datastill.progress import note_once

_REGIONS = ("rectangle", "polygon", "circle", "mask")  # of a mask, only its corners are read
_UNNAMED = "object"  # the category of points without a region


@dataclass(frozen=True)
class _Shape:
    label: str
    kind: str
    points: list[Point]
    group: Hashable

    def box(self) -> list[float]:
        """Return x1, y1, x2, y2; the points of a circle are its centre and one on its edge."""
        xs, ys = zip(*self.points, strict=True)
        if self.kind != "circle":
            return [min(xs), min(ys), max(xs), max(ys)]
        radius = math.dist(*self.points)
        return [xs[0] - radius, ys[0] - radius, xs[0] + radius, ys[0] + radius]


@dataclass(frozen=True)
class _Instance:
    image: Record
    regions: list[_Shape]
    points: dict[str, Point]

    def name(self, regions: set[str]) -> str:
        """Return its category: that of its region or, without one, the only one there is."""
        names = regions if len(regions) == 1 else {_UNNAMED}
        return self.regions[0].label if self.regions else min(names)


def read_labelme(path: Path) -> Coco:
    """Read the JSON files in a folder and the folders in it; other JSON is left out.

    Rectangles, polygons, circles and masks are objects of the category that is their label; points
    are their keypoints, named by their labels. Shapes with one `group_id` are one object; a point
    without belongs to the only object of its image, or the only one whose box holds it. Points on
    an image without regions are one object. Categories and keypoints are in alphabetical order.
    Raises DataError naming the file that is malformed, or has a point that may be of several
    objects.
    """
    instances: list[_Instance] = []
    images: list[Record] = []
    for file in sorted(path.rglob("*.json")):
        content = _read_json(file)
        if isinstance(content, dict) and {"shapes", "imagePath"} <= content.keys():
            try:
                images.append(_image(path, file, content))
                instances += _instances(images[-1], _shapes(file, content["shapes"]))
            except DataError as error:
                raise DataError(f"{file}: {error}; correct the file") from None
    regions = {shape.label for each in instances for shape in each.regions}
    keypoints: dict[str, set[str]] = defaultdict(set)
    for each in instances:
        keypoints[each.name(regions)].update(each.points)
    categories: list[Record] = [
        {"id": number, "name": name} | ({"keypoints": sorted(names)} if names else {})
        for number, (name, names) in enumerate(sorted(keypoints.items()), 1)
    ]
    by_name = {category["name"]: category for category in categories}
    annotations = [
        {"id": image_id(f"{each.image['file_name']}/{number}"), "iscrowd": 0}
        | _annotation(each, by_name[each.name(regions)])
        for number, each in enumerate(instances)
    ]
    if count := sum(not each.regions for each in instances):
        note_once(f"{path}: {count:,} objects are points alone; their boxes are {BOX_RULE}")
    return Coco(images, annotations, categories)


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: expected LabelMe JSON, found other content: {error}") from None


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


def _shapes(file: Path, given: Any) -> list[_Shape]:
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
            _Shape(
                label, kind, [(x, y) for x, y in points], str(group) if group is not None else None
            )
        )
    if left_out:
        kinds = ", ".join(sorted(left_out))
        note_once(f"{file.parent}: shapes that are no regions or points are left out: {kinds}")
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


def _instances(image: Record, shapes: Sequence[_Shape]) -> list[_Instance]:
    """Return the objects of an image; raises DataError if a point may be of several."""
    grouped: dict[Hashable, _Instance] = {}
    for number, shape in enumerate(shapes):
        if shape.group is not None or shape.kind != "point":
            key = number if shape.group is None else shape.group
            instance = grouped.setdefault(key, _Instance(image, [], {}))
            _add(instance, shape)
    free = [shape for shape in shapes if shape.group is None and shape.kind == "point"]
    if free and not grouped:
        grouped[None] = _Instance(image, [], {})
    for shape in free:
        owners = [*grouped.values()]
        if len(owners) > 1:
            owners = [each for each in owners if any(_holds(r, shape) for r in each.regions)]
        if len(owners) != 1:
            raise DataError(
                f"expected point {shape.label!r} in the box of one object, found it in "
                f"{len(owners)}: give it and its object the same group_id"
            )
        _add(owners[0], shape)
    return [*grouped.values()]


def _add(instance: _Instance, shape: _Shape) -> None:
    if shape.kind != "point":
        instance.regions.append(shape)
    elif shape.label in instance.points:
        raise DataError(
            f"expected one point {shape.label!r} on every object, found two: give the shapes of "
            "each object a group_id of their own"
        )
    else:
        instance.points[shape.label] = shape.points[0]


def _holds(region: _Shape, point: _Shape) -> bool:
    (x, y), (x1, y1, x2, y2) = point.points[0], region.box()
    return x1 <= x <= x2 and y1 <= y <= y2


def _annotation(instance: _Instance, category: Record) -> Record:
    image, regions, points = instance.image, instance.regions, instance.points
    record: Record = {"image_id": image["id"], "category_id": category["id"]}
    if regions:
        x1s, y1s, x2s, y2s = zip(*(region.box() for region in regions), strict=True)
        x1, y1 = max(min(x1s), 0), max(min(y1s), 0)
        x2, y2 = min(max(x2s), image["width"]), min(max(y2s), image["height"])
        record["bbox"] = [x1, y1, x2 - x1, y2 - y1]
    else:
        size = image["width"], image["height"]
        record["bbox"] = keypoint_box([*points.values()], size)
    if regions and all(region.kind == "polygon" for region in regions):
        record["segmentation"] = [[v for point in r.points for v in point] for r in regions]
    if names := category.get("keypoints"):
        marked = ((*points[name], 2) if name in points else (0, 0, 0) for name in names)
        record["keypoints"] = [value for triple in marked for value in triple]
    return record
