"""Objects made of the regions and points that a labelling tool draws."""

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from datastill.coco.format import Coco, Record, image_id
from datastill.coco.keypoint_box import Point
from datastill.errors import DataError

_UNNAMED = "object"  # the category of points without a region


@dataclass(frozen=True)
class Shape:
    """A `point`, or a region: `rectangle`, `polygon`, `circle` or `mask`, in pixels.

    group       shapes with the same one are one object
    visibility  of a point, COCO's v
    owner       of a point, the label of the object that it was drawn with
    """

    label: str
    kind: str
    points: list[Point]
    group: Hashable = None
    visibility: int = 2
    owner: str | None = None

    def box(self) -> list[float]:
        """Return x1, y1, x2, y2; the points of a circle are its centre and one on its edge."""
        xs, ys = zip(*self.points, strict=True)
        if self.kind != "circle":
            return [min(xs), min(ys), max(xs), max(ys)]
        radius = math.dist(*self.points)
        return [xs[0] - radius, ys[0] - radius, xs[0] + radius, ys[0] + radius]


@dataclass(frozen=True)
class Instance:
    """An object of an image: its regions, and its points by their labels."""

    image: Record
    regions: list[Shape]
    points: dict[str, Shape]

    @property
    def owner(self) -> str | None:
        """The label that its points were drawn with, None if they have none."""
        return next((point.owner for point in self.points.values() if point.owner), None)

    def name(self, regions: set[str]) -> str:
        """Return its category: that of its region or, without one, the only one there is."""
        names = regions if len(regions) == 1 else {_UNNAMED}
        return self.regions[0].label if self.regions else self.owner or min(names)


def join(image: Record, shapes: Sequence[Shape]) -> list[Instance]:
    """Return the objects of an image.

    Shapes with one group are one object, unless its regions differ in their labels: it is then no
    group, except for points drawn with an object of their own. A point without belongs to the only
    object of its image, or the only one whose region's box holds it. Points on an image without
    regions are one object.
    Raises DataError if a point may be of several objects.
    """
    shapes = _without_mixed_groups(shapes)
    grouped: dict[Hashable, Instance] = {}
    for number, shape in enumerate(shapes):
        if shape.group is not None or shape.kind != "point":
            key = number if shape.group is None else shape.group
            instance = grouped.setdefault(key, Instance(image, [], {}))
            _add(instance, shape)
    free = [shape for shape in shapes if shape.group is None and shape.kind == "point"]
    if free and not grouped:
        grouped[None] = Instance(image, [], {})
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


def _without_mixed_groups(shapes: Sequence[Shape]) -> list[Shape]:
    """Return the shapes, without a group if that has regions of different labels."""
    labels: dict[Hashable, set[str]] = defaultdict(set)
    for shape in shapes:
        if shape.kind != "point":
            labels[shape.group].add(shape.label)
    return [
        replace(each, group=None) if each.owner is None and len(labels[each.group]) > 1 else each
        for each in shapes
    ]


def _add(instance: Instance, shape: Shape) -> None:
    if shape.kind != "point":
        instance.regions.append(shape)
    elif shape.label in instance.points:
        raise DataError(
            f"expected one point {shape.label!r} on every object, found two: give the shapes of "
            "each object a group_id of their own"
        )
    else:
        instance.points[shape.label] = shape


def _holds(region: Shape, point: Shape) -> bool:
    (x, y), (x1, y1, x2, y2) = point.points[0], region.box()
    return x1 <= x <= x2 and y1 <= y <= y2


def as_coco(
    images: list[Record],
    instances: Sequence[Instance],
    listed: Sequence[str] = (),
    keypoints: Mapping[str, Sequence[str]] | None = None,
) -> Coco:
    """Return the objects as COCO; those that are points alone have no box.

    listed     categories that come first, also if no object has them; others by their names
    keypoints  by the owner of points, all points that it may have, which come first; others by
               their names
    """
    regions = {shape.label for each in instances for shape in each.regions}
    first: dict[str, dict[str, None]] = defaultdict(dict)
    others: dict[str, set[str]] = defaultdict(set)
    for each in instances:
        name = each.name(regions)
        first[name] |= dict.fromkeys((keypoints or {}).get(each.owner or "", ()))
        others[name] |= each.points.keys()
    categories: list[Record] = []
    for number, name in enumerate(dict.fromkeys([*listed, *sorted(others)]), 1):
        points = [*first[name], *sorted(others[name] - first[name].keys())]
        category: Record = {"id": number, "name": name}
        categories.append(category | ({"keypoints": points} if points else {}))
    by_name = {category["name"]: category for category in categories}
    annotations = [
        {"id": image_id(f"{each.image['file_name']}/{number}"), "iscrowd": 0}
        | _annotation(each, by_name[each.name(regions)])
        for number, each in enumerate(instances)
    ]
    return Coco(images, annotations, categories)


def _annotation(instance: Instance, category: Record) -> Record:
    image, regions, points = instance.image, instance.regions, instance.points
    record: Record = {"image_id": image["id"], "category_id": category["id"]}
    if regions:
        x1s, y1s, x2s, y2s = zip(*(region.box() for region in regions), strict=True)
        x1, y1 = max(min(x1s), 0), max(min(y1s), 0)
        x2, y2 = min(max(x2s), image["width"]), min(max(y2s), image["height"])
        record["bbox"] = [x1, y1, x2 - x1, y2 - y1]
    if regions and all(region.kind == "polygon" for region in regions):
        record["segmentation"] = [[v for point in r.points for v in point] for r in regions]
    if names := category.get("keypoints"):
        marked = (
            (*points[name].points[0], points[name].visibility) if name in points else (0, 0, 0)
            for name in names
        )
        record["keypoints"] = [value for triple in marked for value in triple]
    return record
