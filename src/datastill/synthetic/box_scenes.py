"""Drawn people among their things: pictures with exact boxes of five categories, few of them rare.

A picture follows from the name of its set, its index and the seed alone, whatever was drawn before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from datastill.coco.format import Record
from datastill.synthetic.drawing.backgrounds import hazy, household_scenery
from datastill.synthetic.drawing.bodies import Stand, posed, random_build
from datastill.synthetic.drawing.camera import photographed
from datastill.synthetic.drawing.clothed_body import dressed
from datastill.synthetic.drawing.distractors import thing
from datastill.synthetic.drawing.objects import BELONGINGS
from datastill.synthetic.drawing.outfits import everyday_outfit
from datastill.synthetic.drawing.poses import everyday_motion, pose_at
from datastill.synthetic.drawing.raster import Image, Shape, Size, paint, stamp
from datastill.synthetic.drawing.viewpoints import random_yaw
from datastill.synthetic.drawing.visibility import outlined
from datastill.synthetic.keypoint_scenes import Drawing, generator

PERSON_ID = 1
CATEGORIES: tuple[Record, ...] = (
    {"id": PERSON_ID, "name": "person", "supercategory": "person"},
    *({"id": kind.category, "name": kind.name, "supercategory": "thing"} for kind in BELONGINGS),
)
_PEOPLE = (0.12, 0.26, 0.26, 0.2, 0.1, 0.06)  # chances of 0, 1, 2, ... people
_HEIGHTS = ((0.3, 0.25, 0.45), (0.45, 0.45, 0.8), (0.25, 0.8, 1.15))  # of people, as in figures
_OBSTACLES = 0.2
_LEAST_SEEN = 0.25  # the share of a silhouette below which nobody could name it
_LEAST_AREA = (8 / 240) ** 2  # of the image height squared


@dataclass(frozen=True)
class Object:
    """Somebody or something in a picture.

    height   of somebody in its place, in pixels: the smaller, the farther away
    stencil  (h, w) nonzero where it is if nothing is before it
    """

    category: int
    height: float
    shapes: list[Shape]
    stencil: Image


def draw_household(name: str, index: int, seed: int, size: Size) -> Drawing:
    """Draw picture `index` of the set `name`; `size` is (width, height) in pixels."""
    rng = generator(name, index, seed)
    image = hazy(household_scenery(rng, size))
    objects = sorted(_cast(rng, size), key=lambda each: each.height)
    front = _front(rng, size) if rng.random() < _OBSTACLES else []
    objects = _noticeable(objects, front, size)
    for shapes in [*(each.shapes for each in objects), front]:
        paint(image, shapes)
    stencil = _overlaid(objects, front, size)
    annotations = [
        {"category_id": each.category, **outlined(_mask(stencil, number)), "iscrowd": 0}
        for number, each in enumerate(objects, start=1)
    ]
    return Drawing(photographed(image, rng), annotations)


def _cast(rng: np.random.Generator, size: Size) -> Iterator[Object]:
    pitch = rng.uniform(0, 0.3)
    for _ in range(rng.choice(len(_PEOPLE), p=_PEOPLE)):
        height = _height(rng, size)
        stand = Stand(
            _across(rng, size), _ground(rng, height, size), height, random_yaw(rng), pitch
        )
        outfit, build = everyday_outfit(rng), random_build(rng)
        body = posed(pose_at(everyday_motion(rng), 0.5), build, stand)
        yield _object(PERSON_ID, height, dressed(body, outfit), size)
    people = float(np.dot(range(len(_PEOPLE)), _PEOPLE))
    for kind in BELONGINGS:
        for _ in range(rng.poisson(kind.per_person * people)):
            height = _height(rng, size)
            ground = rng.uniform(0.25, 0.6) * size[1] if kind.flies else _ground(rng, height, size)
            foot = np.array([_across(rng, size), ground])
            shapes = list(kind.draw(rng, foot, rng.uniform(*kind.heights) * height))
            yield _object(kind.category, height, shapes, size)


def _height(rng: np.random.Generator, size: Size) -> float:
    chances, lowest, highest = zip(*_HEIGHTS, strict=True)
    band = rng.choice(len(chances), p=chances)
    return float(rng.uniform(lowest[band], highest[band]) * size[1])


def _across(rng: np.random.Generator, size: Size) -> float:
    return float(rng.uniform(0.04, 0.96) * size[0])


def _ground(rng: np.random.Generator, height: float, size: Size) -> float:
    """Sample where something stands: what is near, and so large, stands low."""
    near = min(height / size[1], 1.0)
    return float((0.6 + 0.4 * near + rng.uniform(-0.06, 0.06)) * size[1])


def _object(category: int, height: float, shapes: list[Shape], size: Size) -> Object:
    stencil = np.zeros((size[1], size[0]), np.uint8)
    stamp(stencil, shapes)
    return Object(category, height, shapes, stencil)


def _front(rng: np.random.Generator, size: Size) -> list[Shape]:
    kind = ("post", "table", "bush", "crate")[rng.integers(4)]
    return [Shape(shape.points, shape.colour, 0) for shape in thing(kind, rng, size)]


def _noticeable(objects: list[Object], front: list[Shape], size: Size) -> list[Object]:
    """Return the objects of which enough can be seen; the others are not drawn."""
    stencil = _overlaid(objects, front, size)
    least = _LEAST_AREA * size[1] ** 2
    kept = []
    for number, each in enumerate(objects, start=1):
        wanted = max(least, _LEAST_SEEN * cv2.countNonZero(each.stencil))
        if cv2.countNonZero(_mask(stencil, number)) >= wanted:
            kept.append(each)
    return kept


def _overlaid(objects: list[Object], front: list[Shape], size: Size) -> Image:
    """Return (h, w): the number of what is on top, from 1 on; 0 for nothing."""
    stencil = np.zeros((size[1], size[0]), np.uint8)
    for number, each in enumerate(objects, start=1):
        stencil[each.stencil > 0] = number
    stamp(stencil, front)
    return stencil


def _mask(stencil: Image, number: int) -> Image:
    return np.asarray(stencil == number, np.uint8)
