"""CVAT for images 1.1 XML, read as COCO."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from datastill.coco.format import Coco, Record, image_id
from datastill.coco.keypoint_box import Point
from datastill.coco.repair import repair
from datastill.coco.shapes import Instance, Shape, as_coco, join
from datastill.coco.xml_reader import parse_number, read_xml
from datastill.errors import DataError
from datastill.progress import note_once

_REGIONS = ("box", "ellipse", "mask", "polygon")
_WHOLES = ("box", "ellipse", "skeleton")  # two in a group are two objects
_IGNORED = ("attribute", "tag")
_NO_OBJECTS = ("points", "polyline", "cuboid", "tag", "skeleton")  # types of labels


@dataclass
class _Labels:
    """The labels of all files, and what their shapes show of them.

    listed     categories: labels of regions, in CVAT's order
    keypoints  by label of a skeleton or of <points> of several points, the names of its points
    lengths    by label of <points>, how many points each has
    rotated    regions that are turned in their image
    left_out   shapes by kind
    """

    listed: dict[str, None] = field(default_factory=dict)
    keypoints: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    lengths: dict[str, int] = field(default_factory=dict)
    rotated: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, meta: Element) -> None:
        """Add the labels that a file lists in its `meta`."""
        for label in meta.iterfind(".//labels/label"):
            name, parent = ((label.findtext(key) or "").strip() for key in ("name", "parent"))
            if parent:
                self.keypoints[parent][name] = None
            elif name and (label.findtext("type") or "any").strip() not in _NO_OBJECTS:
                self.listed[name] = None


def read_cvat(path: Path) -> Coco:
    """Read an XML file, of one or more jobs or tasks, or all XML files in a folder.

    Boxes, ellipses, masks and polygons are objects, of their extent; a skeleton is an object whose
    points are its keypoints, `outside` ones not labelled (v = 0), `occluded` ones v = 1. <points>
    of one point are a keypoint, named by the label, of an object as `shapes.join` has it; <points>
    of several are an object with numbered keypoints. A group joins points, polygons and masks of
    one label, and at most one box or skeleton, to one object. An image listed twice is one image.
    Category ids number the labels of regions in CVAT's order, then others alphabetically.
    Raises DataError naming the file, and the image, that is malformed.
    """
    labels, images = _Labels(), list[Record]()
    instances: list[Instance] = []
    for file in sorted(path.glob("*.xml")) if path.is_dir() else [path]:
        root = read_xml(file, "CVAT XML")
        _check_kind(file, root)
        for meta in root.iterfind("meta"):
            labels.add(meta)
        for element in root.iterfind("image"):
            try:
                images.append(_image(element))
                instances += join(images[-1], [*_shapes(element, labels)])
            except DataError as error:
                name = element.get("name")
                raise DataError(f"{file}, image {name!r}: {error}; correct it in CVAT") from None
    _note(path, labels)
    used = {shape.label for each in instances for shape in each.regions}
    points = {label for each in instances for label in each.points} - used
    listed = [label for label in labels.listed if label not in points]
    names = {owner: [*keypoints] for owner, keypoints in labels.keypoints.items()}
    return repair(path, as_coco(images, instances, listed, names))


def _check_kind(file: Path, root: Element) -> None:
    if root.tag != "annotations" or root.find("track") is not None:
        kind = "CVAT for video" if root.tag == "annotations" else f"<{root.tag}>"
        raise DataError(
            f"{file}: expected CVAT for images 1.1, found {kind}; export the task again as "
            "`CVAT for images 1.1`"
        )


def _note(path: Path, labels: _Labels) -> None:
    if labels.rotated:
        note_once(f"{path}: {labels.rotated:,} regions are rotated; their boxes are their extent")
    if labels.left_out:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(labels.left_out.items()))
        note_once(f"{path}: shapes other than regions and points are left out: {kinds}")


def _image(element: Element) -> Record:
    """Return the record of an image; CVAT stores it in a folder named by its subset."""
    name, subset = element.get("name", "").replace("\\", "/"), element.get("subset")
    width, height = (int(_number(element, side)) for side in ("width", "height"))
    if not name or width < 1 or height < 1:
        raise DataError(f"expected name, width and height, found {name!r}, {width} x {height}")
    name = f"{subset}/{name}" if subset else name
    return {"id": image_id(name), "file_name": name, "width": width, "height": height}


def _shapes(image: Element, labels: _Labels) -> Iterator[Shape]:
    counts = Counter((each.get("group_id"), each.tag) for each in image if each.tag in _WHOLES)
    crowded = {group for (group, _), count in counts.items() if count > 1}
    for number, element in enumerate(image):
        given = element.get("group_id")
        group = None if given in crowded else given
        if element.tag in _REGIONS:
            kind = "polygon" if element.tag == "polygon" else "rectangle"
            labels.rotated += bool(_rotation(element))
            yield Shape(_label(element), kind, _region(element), group)
        elif element.tag == "skeleton":
            yield from _skeleton(element, group or f"object {number}", labels)
        elif element.tag == "points":
            yield from _points_alone(element, group, number, labels)
        elif element.tag not in _IGNORED:
            labels.left_out[element.tag] += 1


def _region(element: Element) -> list[Point]:
    """Return the corners of a polygon, or two opposite corners of the extent of another region."""
    if element.tag == "polygon":
        points = _points(element)
        if len(points) < 3:
            raise DataError(f"expected 3 points or more in <polygon>, found {len(points)}")
        return points
    if element.tag == "mask":
        left, top, width, height = (_number(element, k) for k in ("left", "top", "width", "height"))
        return [(left, top), (left + width, top + height)]
    cos, sin = math.cos(_rotation(element)), math.sin(_rotation(element))
    if element.tag == "ellipse":
        x, y, rx, ry = (_number(element, key) for key in ("cx", "cy", "rx", "ry"))
        dx, dy = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
        return [(x - dx, y - dy), (x + dx, y + dy)]
    x1, y1, x2, y2 = (_number(element, key) for key in ("xtl", "ytl", "xbr", "ybr"))
    if not _rotation(element):
        return [(x1, y1), (x2, y2)]
    x, y, rx, ry = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2
    dx, dy = abs(rx * cos) + abs(ry * sin), abs(rx * sin) + abs(ry * cos)
    return [(x - dx, y - dy), (x + dx, y + dy)]


def _skeleton(element: Element, group: str, labels: _Labels) -> Iterator[Shape]:
    owner = _label(element)
    for point in element.iterfind("points"):
        label, places = _label(point), _points(point)
        labels.keypoints[owner][label] = None
        if len(places) != 1:
            raise DataError(f"expected one point as {label!r} of {owner!r}, found {len(places)}")
        if point.get("outside") != "1":
            yield Shape(label, "point", places, group, _visibility(point), owner)


def _points_alone(
    element: Element, group: str | None, number: int, labels: _Labels
) -> Iterator[Shape]:
    """Yield the points of <points>; raises DataError if others of its label have more or fewer."""
    label, places = _label(element), _points(element)
    expected = labels.lengths.setdefault(label, len(places))
    if len(places) != expected:
        raise DataError(
            f"expected {expected} points in <points> of {label!r}, as in the others, found "
            f"{len(places)}; draw a skeleton, whose points have names"
        )
    if expected == 1:
        yield Shape(label, "point", places, group, _visibility(element))
        return
    for count, place in enumerate(places, 1):
        name, visibility = f"keypoint_{count}", _visibility(element)
        labels.keypoints[label][name] = None
        yield Shape(name, "point", [place], group or f"object {number}", visibility, label)


def _visibility(point: Element) -> int:
    return 1 if point.get("occluded") == "1" else 2


def _label(element: Element) -> str:
    if not (label := element.get("label", "").strip()):
        raise DataError(f"expected a label of <{element.tag}>, found none")
    return label


def _rotation(element: Element) -> float:
    """Return by how much a region is turned around its centre, in radians."""
    return math.radians(_number(element, "rotation")) if element.get("rotation") else 0.0


def _points(element: Element) -> list[Point]:
    text = element.get("points", "")
    try:
        points = [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split(";"))]
    except ValueError:
        points = [(math.nan, math.nan)]
    if not all(math.isfinite(value) for point in points for value in point):
        raise DataError(f"expected x,y;x,y;... as points of <{element.tag}>, found {text[:80]!r}")
    return points


def _number(element: Element, key: str) -> float:
    return parse_number(element.get(key, ""), f"{key} of <{element.tag}>")
