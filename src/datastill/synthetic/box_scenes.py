"""Drawn scenes of people and objects with exact boxes of five categories, some of them rare.

A scene depends only on the name of its set, its index and the seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from datastill.coco.format import Record
from datastill.synthetic.drawing.backgrounds import everyday_background
from datastill.synthetic.drawing.bodies import Placement, pose_body, random_build
from datastill.synthetic.drawing.camera import photograph
from datastill.synthetic.drawing.clothed_body import clothed_body
from datastill.synthetic.drawing.distractors import EVERYDAY, obstacle
from datastill.synthetic.drawing.objects import OBJECT_KINDS
from datastill.synthetic.drawing.outfits import everyday_outfit
from datastill.synthetic.drawing.poses import everyday_motion, pose_at
from datastill.synthetic.drawing.raster import Size, paint, stencil_of
from datastill.synthetic.drawing.viewpoints import random_yaw
from datastill.synthetic.drawing.visibility import Layer, annotate, overlay, visible_enough
from datastill.synthetic.keypoint_scenes import Drawing, quota, random_height, scene_rng

PERSON_ID = 1
CATEGORIES: tuple[Record, ...] = (
    {"id": PERSON_ID, "name": "person", "supercategory": "person"},
    *({"id": kind.category, "name": kind.name, "supercategory": "thing"} for kind in OBJECT_KINDS),
)
_CLUTTER = tuple(kind for kind in EVERYDAY if kind != "ball")  # what has no category of its own
_PEOPLE = (0.12, 0.26, 0.26, 0.2, 0.1, 0.06)  # shares of the scenes with 0, 1, 2, ... people
_HEIGHTS = ((0.3, 0.25, 0.45), (0.45, 0.45, 0.8), (0.25, 0.8, 1.15))  # of people, as in `Style`
_OBSTACLE = 0.2  # the probability of one of these
_OBSTACLE_KINDS = ("post", "table", "bush", "crate")
_MIN_VISIBLE = 0.25  # the share of a silhouette below which it cannot be recognised
_MIN_AREA = (8 / 240) ** 2  # of the image height squared


@dataclass(frozen=True)
class Object(Layer):
    """A person or an object; `height` is a person's at its distance, in pixels."""

    category: int
    height: float


def draw_objects(name: str, index: int, seed: int, size: Size) -> Drawing:
    """Draw scene `index` of the set `name`; `size` is (width, height) in pixels."""
    rng = scene_rng(name, index, seed)
    background = everyday_background(rng, size, (1, 6), _CLUTTER)
    people = quota(name, index, seed, _PEOPLE)
    objects = sorted(_random_objects(rng, size, people), key=lambda each: each.height)
    front = obstacle(rng, size, _OBSTACLE_KINDS) if rng.random() < _OBSTACLE else []
    objects = visible_enough(objects, front, size, (_MIN_AREA, _MIN_VISIBLE))
    image = paint(background, chain(*(each.polygons for each in objects), front))
    stencil = overlay(objects, front, size)
    annotations = [annotate(stencil, i, each.category) for i, each in enumerate(objects)]
    return Drawing(photograph(image, rng), annotations)


def _random_objects(rng: np.random.Generator, size: Size, people: int) -> Iterator[Object]:
    width, high = size
    pitch = rng.uniform(0, 0.3)
    for _ in range(people):
        height = random_height(rng, _HEIGHTS, high)
        x, ground = rng.uniform(0.04, 0.96) * width, _random_ground(rng, height, high)
        placement = Placement(x, ground, height, random_yaw(rng), pitch)
        outfit, build = everyday_outfit(rng), random_build(rng)
        body = pose_body(pose_at(everyday_motion(rng), 0.5), build, placement)
        polygons = clothed_body(body, outfit)
        yield Object(polygons, stencil_of(polygons, size), PERSON_ID, height)
    mean_people = float(np.dot(range(len(_PEOPLE)), _PEOPLE))
    for kind in OBJECT_KINDS:
        for _ in range(rng.poisson(kind.per_person * mean_people)):
            height = random_height(rng, _HEIGHTS, high)
            y = rng.uniform(0.25, 0.6) * high if kind.flies else _random_ground(rng, height, high)
            foot = np.array([rng.uniform(0.04, 0.96) * width, y])
            polygons = list(kind.draw(rng, foot, rng.uniform(*kind.heights) * height))
            yield Object(polygons, stencil_of(polygons, size), kind.category, height)


def _random_ground(rng: np.random.Generator, height: float, image_height: int) -> float:
    """Sample the floor below an object: near, and so large, objects stand low."""
    near = min(height / image_height, 1.0)
    return (0.6 + 0.4 * near + rng.uniform(-0.06, 0.06)) * image_height
