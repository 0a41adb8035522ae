"""Drawn scenes of people with exact COCO keypoints.

A scene depends only on the name of its set, its index and the seed. People are sized relative to
the image height.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import cv2
import numpy as np

from datastill.coco.format import Record
from datastill.errors import DataError
from datastill.synthetic.drawing.backgrounds import everyday_background, sport_background
from datastill.synthetic.drawing.bodies import Body, Build, Placement, pose_body, random_build
from datastill.synthetic.drawing.camera import film, photograph
from datastill.synthetic.drawing.clothed_body import clothed_body
from datastill.synthetic.drawing.colours import random_colour
from datastill.synthetic.drawing.distractors import obstacle
from datastill.synthetic.drawing.outfits import Outfit, everyday_outfit, sport_outfit
from datastill.synthetic.drawing.poses import Motion, everyday_motion, pose_at, sport_motion
from datastill.synthetic.drawing.raster import Image, Polygon, Size, paint, stencil_of
from datastill.synthetic.drawing.viewpoints import random_yaw
from datastill.synthetic.drawing.visibility import Layer, annotate, overlay, visible_enough

FRAMES_IN_CLIP = 12
GOLDEN = (5**0.5 - 1) / 2
_SHUTTER = 0.2 / FRAMES_IN_CLIP  # half the exposure time, in clips
_MIN_AREA = (32 / 240) ** 2  # of the image height squared: COCO's border of small in 320 x 240
_MIN_VISIBLE = 0.12  # the share of a person's silhouette below which they are not annotated
_MIN_KEYPOINTS = 3  # in the picture, or a person is no more than a stray limb

Heights = Sequence[tuple[float, float, float]]


@dataclass(frozen=True)
class Drawing:
    """A picture and its annotations.

    image        (h, w, 3) RGB
    annotations  COCO annotations without `id` and `image_id`; bbox and area of the visible pixels
    """

    image: Image
    annotations: list[Record]


@dataclass(frozen=True)
class Style:
    """A distribution of scenes.

    people          shares of the scenes with 0, 1, 2, ... people
    heights         (probability, lowest, highest) of a person's height, as a share of the image's
    obstacle        the probability of an obstacle before the people
    sport           whether people wear the kit of one of two teams and drift during a clip
    """

    people: tuple[float, ...]
    heights: Heights
    background: Callable[[np.random.Generator, Size], Image]
    motion: Callable[[np.random.Generator], Motion]
    camera: Callable[[Image, np.random.Generator], Image]
    obstacle: float
    obstacle_kinds: tuple[str, ...]
    sport: bool


STYLES = {
    "everyday": Style(
        people=(0.46, 0.20, 0.16, 0.11, 0.07),  # COCO: people on 54 % of the images
        heights=((0.35, 0.55, 0.75), (0.5, 0.75, 1.0), (0.15, 1.0, 1.25)),
        background=everyday_background,
        motion=everyday_motion,
        camera=photograph,
        obstacle=0.25,
        obstacle_kinds=("post", "table", "bush", "crate", "ball", "dog"),
        sport=False,
    ),
    "sport": Style(
        people=(0.10, 0.45, 0.30, 0.15),
        heights=((0.3, 0.45, 0.7), (0.55, 0.7, 1.0), (0.15, 1.0, 1.25)),
        background=sport_background,
        motion=sport_motion,
        camera=film,
        obstacle=0.2,
        obstacle_kinds=("ball", "post"),
        sport=True,
    ),
}


@dataclass(frozen=True)
class Person:
    """A person in a clip; `drift` is how many pixels they move to the right during the clip."""

    build: Build
    outfit: Outfit
    placement: Placement
    motion: Motion
    drift: float

    def at(self, time: float) -> Body:
        """Return the body at `time`, 0 to 1 over the clip."""
        placement = replace(self.placement, x=self.placement.x + self.drift * time)
        return pose_body(pose_at(self.motion, time), self.build, placement)


@dataclass(frozen=True)
class Figure(Layer):
    """A person at one time."""

    person: Person
    body: Body


def draw_people(name: str, index: int, seed: int, style: str, size: Size) -> Drawing:
    """Draw scene `index` of the set `name`; `size` is (width, height) in pixels.

    A "sport" scene is one random frame of a clip of FRAMES_IN_CLIP; only that frame is drawn.
    Raises DataError for a style that is not one of STYLES.
    """
    if style not in STYLES:
        raise DataError(f"style {style!r}: expected one of {', '.join(STYLES)}")
    settings = STYLES[style]
    rng = scene_rng(name, index, seed)
    background = settings.background(rng, size)
    count = quota(name, index, seed, settings.people)
    people = _random_people(rng, settings, size, count)
    blocked = rng.random() < settings.obstacle
    front = obstacle(rng, size, settings.obstacle_kinds) if blocked else []
    time = (int(rng.integers(FRAMES_IN_CLIP)) + 0.5) / FRAMES_IN_CLIP
    figures = [_figure(person, time, size) for person in people]
    figures = visible_enough(figures, front, size, (_MIN_AREA, _MIN_VISIBLE))
    figures = [each for each in figures if each.body.keypoints_inside(size) >= _MIN_KEYPOINTS]
    image = _exposed(background, figures, front, time)
    stencil = overlay(figures, front, size)
    annotations = [annotate(stencil, i, 1, each.body) for i, each in enumerate(figures)]
    return Drawing(settings.camera(image, rng), annotations)


def scene_rng(name: str, index: int, seed: int) -> np.random.Generator:
    """Return the generator of scene `index` of the set `name`."""
    digest = hashlib.sha256(f"{name}/{index}/{seed}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def quota(name: str, index: int, seed: int, shares: Sequence[float]) -> int:
    """Return a number of people from 0 on, so that any run of scenes has about these `shares`.

    Multiples of the golden ratio fill the unit interval evenly (Kronecker's sequence): two sets
    differ in their density by fractions of a person instead of by chance.
    """
    start = scene_rng(name, -1, seed).random()
    return int(np.searchsorted(np.cumsum(shares), (start + index * GOLDEN) % 1.0, side="right"))


def random_height(rng: np.random.Generator, heights: Heights, image_height: int) -> float:
    """Sample a height in pixels from bands of (probability, lowest, highest) shares."""
    probabilities, lowest, highest = zip(*heights, strict=True)
    band = rng.choice(len(probabilities), p=probabilities)
    return float(rng.uniform(lowest[band], highest[band]) * image_height)


def _random_people(rng: np.random.Generator, style: Style, size: Size, count: int) -> list[Person]:
    """Sample the people of a scene, the farthest first."""
    teams = [
        (random_colour(rng, (0.5, 0.95), (0.35, 1.0)), random_colour(rng, (0.0, 0.9), (0.1, 1.0)))
        for _ in range(2)
    ]
    pitch = rng.uniform(0, 0.3)
    people: list[Person] = []
    for _ in range(count):
        outfit = sport_outfit(rng, teams[rng.integers(2)]) if style.sport else everyday_outfit(rng)
        height = random_height(rng, style.heights, size[1])
        options = rng.uniform(0.04, 0.96, 3) * size[0]
        room = [min((abs(x - each.placement.x) for each in people), default=0) for x in options]
        x, ground = float(options[np.argmax(room)]), _random_ground(rng, height, size[1])
        placement = Placement(x, ground, height, random_yaw(rng), pitch)
        drift = rng.normal(0, 0.25) * height if style.sport else 0.0
        people.append(Person(random_build(rng), outfit, placement, style.motion(rng), drift))
    return sorted(people, key=lambda person: person.placement.height)


def _random_ground(rng: np.random.Generator, height: float, image_height: int) -> float:
    if height > 0.95 * image_height:  # close: the head is mostly in the picture, the feet are not
        share = rng.uniform(-0.35, 0.0) if rng.random() < 0.12 else rng.uniform(0.0, 0.2)
        return share * image_height + height
    if rng.random() < 0.15:
        return image_height + rng.uniform(0.05, 0.35) * height
    return rng.uniform(max(height, 0.6 * image_height), 1.02 * image_height)


def _figure(person: Person, time: float, size: Size) -> Figure:
    body = person.at(time)
    polygons = clothed_body(body, person.outfit)
    return Figure(polygons, stencil_of(polygons, size), person, body)


def _exposed(background: Image, figures: list[Figure], front: list[Polygon], time: float) -> Image:
    """Return the exposure from just before to just after `time`."""
    people = [figure.person for figure in figures]
    moments = [[figure.polygons for figure in figures]]
    if any(len(person.motion) > 1 for person in people):
        for moment in (time - _SHUTTER, time + _SHUTTER):
            moments.append([clothed_body(each.at(moment), each.outfit) for each in people])
    frames = [paint(background.copy(), chain(*bodies, front)) for bodies in moments]
    if len(frames) == 1:
        return frames[0]
    blend = cv2.addWeighted(frames[1], 0.5, frames[2], 0.5, 0)
    return np.asarray(cv2.addWeighted(frames[0], 0.4, blend, 0.6, 0), np.uint8)
