"""Drawn people: pictures with exact COCO annotations, made by the project itself.

A picture follows from the name of its set, its index and the seed alone, whatever was drawn before.
Its size counts by height: people are sampled as shares of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from datastill.coco.format import Record
from datastill.errors import DataError
from datastill.synthetic.drawing.backgrounds import everyday_scenery, hazy, sport_scenery
from datastill.synthetic.drawing.bodies import Body, Build, Stand, posed, random_build
from datastill.synthetic.drawing.camera import filmed, photographed
from datastill.synthetic.drawing.clothed_body import PARTS, dressed
from datastill.synthetic.drawing.distractors import obstacle
from datastill.synthetic.drawing.outfits import Outfit, everyday_outfit, sport_outfit
from datastill.synthetic.drawing.poses import Motion, everyday_motion, pose_at, sport_motion
from datastill.synthetic.drawing.raster import Image, Shape, Size, paint, random_colour, stamp
from datastill.synthetic.drawing.viewpoints import random_yaw
from datastill.synthetic.drawing.visibility import annotated, keypoints_inside, visible_area

FRAMES_IN_CLIP = 12
_SHUTTER = 0.2 / FRAMES_IN_CLIP  # half the time that light falls on the film, in clips
_LEAST_AREA = (32 / 240) ** 2  # of the image height squared: COCO's border of small in 320 x 240
_LEAST_SEEN = 0.12  # the share of somebody's silhouette below which they are left out
_LEAST_KEYPOINTS = 3  # in the picture, or somebody is no more than a stray limb


@dataclass(frozen=True)
class Drawing:
    """A picture and what is in it.

    image        (h, w, 3) RGB
    annotations  COCO annotations without `id` and `image_id`; bbox and area of the visible pixels
    """

    image: Image
    annotations: list[Record]


@dataclass(frozen=True)
class Style:
    """A distribution of pictures.

    people    chances of 0, 1, 2, ... people
    heights   (chance, lowest, highest) of somebody's height, as a share of the picture's
    """

    people: tuple[float, ...]
    heights: tuple[tuple[float, float, float], ...]
    scenery: Callable[[np.random.Generator, Size], Image]
    motion: Callable[[np.random.Generator], Motion]
    camera: Callable[[Image, np.random.Generator], Image]
    obstacles: float


STYLES = {
    "everyday": Style(
        people=(0.46, 0.20, 0.16, 0.11, 0.07),  # COCO: people on 54 % of the images
        heights=((0.35, 0.55, 0.75), (0.5, 0.75, 1.0), (0.15, 1.0, 1.25)),
        scenery=everyday_scenery,
        motion=everyday_motion,
        camera=photographed,
        obstacles=0.25,
    ),
    "sport": Style(
        people=(0.10, 0.45, 0.30, 0.15),
        heights=((0.12, 0.45, 0.7), (0.4, 0.7, 1.05), (0.48, 1.05, 1.8)),
        scenery=sport_scenery,
        motion=sport_motion,
        camera=filmed,
        obstacles=0.2,
    ),
}


@dataclass(frozen=True)
class Actor:
    """Somebody in a clip: how they look, where they stand and what they do.

    drift  pixels that they move to the right during the clip
    """

    build: Build
    outfit: Outfit
    stand: Stand
    motion: Motion
    drift: float

    def at(self, time: float) -> Body:
        """Return the body at `time`, 0 to 1 over the clip."""
        stand = replace(self.stand, x=self.stand.x + self.drift * time)
        return posed(pose_at(self.motion, time), self.build, stand)


@dataclass(frozen=True)
class Figure:
    """An actor at one time, as shapes and as a stencil (h, w) of the own parts."""

    actor: Actor
    body: Body
    shapes: list[Shape]
    stencil: Image


def draw(name: str, index: int, seed: int, style: str, size: Size) -> Drawing:
    """Draw picture `index` of the set `name`; `size` is (width, height) in pixels.

    A "sport" picture is one random frame of a clip of FRAMES_IN_CLIP; only that frame is drawn.
    Raises DataError for a style that is none of STYLES.
    """
    if style not in STYLES:
        raise DataError(f"style {style!r}: expected one of {', '.join(STYLES)}")
    rng = generator(name, index, seed)
    manner = STYLES[style]
    backdrop = hazy(manner.scenery(rng, size))
    actors = _cast(rng, manner, style, size)
    front = obstacle(rng, size, style) if rng.random() < manner.obstacles else []
    time = (int(rng.integers(FRAMES_IN_CLIP)) + 0.5) / FRAMES_IN_CLIP
    figures = _noticeable([_figure(actor, time, size) for actor in actors], front, size)
    image = _exposed(backdrop, figures, front, time)
    stencil = _overlaid(figures, front, size)
    annotations = annotated(stencil, [figure.body for figure in figures])
    return Drawing(manner.camera(image, rng), annotations)


def generator(name: str, index: int, seed: int) -> np.random.Generator:
    """Return the source of all that is random in picture `index` of the set `name`."""
    digest = hashlib.sha256(f"{name}/{index}/{seed}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _cast(rng: np.random.Generator, manner: Style, style: str, size: Size) -> list[Actor]:
    """Sample the people of a picture, the farthest first."""
    count = int(rng.choice(len(manner.people), p=manner.people))
    teams = [
        (random_colour(rng, (0.5, 0.95), (0.35, 1.0)), random_colour(rng, (0.0, 0.9), (0.1, 1.0)))
        for _ in range(2)
    ]
    pitch = rng.uniform(0, 0.3)
    actors: list[Actor] = []
    for _ in range(count):
        outfit = (
            everyday_outfit(rng)
            if style == "everyday"
            else sport_outfit(rng, teams[rng.integers(2)])
        )
        stand = _stand(rng, manner, size, pitch, [actor.stand for actor in actors])
        drift = rng.normal(0, 0.25) * stand.height if style == "sport" else 0.0
        actors.append(Actor(random_build(rng), outfit, stand, manner.motion(rng), drift))
    return sorted(actors, key=lambda actor: actor.stand.height)


def _stand(
    rng: np.random.Generator, manner: Style, size: Size, pitch: float, others: list[Stand]
) -> Stand:
    chances, lowest, highest = zip(*manner.heights, strict=True)
    band = rng.choice(len(chances), p=chances)
    height = rng.uniform(lowest[band], highest[band]) * size[1]
    places = rng.uniform(0.04, 0.96, 3) * size[0]
    room = [min([abs(x - other.x) for other in others], default=0.0) for x in places]
    x = float(places[int(np.argmax(room))])
    return Stand(x, _ground(rng, height, size[1]), height, random_yaw(rng), pitch)


def _ground(rng: np.random.Generator, height: float, image_height: int) -> float:
    if height > 0.95 * image_height:  # close: the head is mostly in the picture, the feet are not
        share = rng.uniform(-0.35, 0.0) if rng.random() < 0.12 else rng.uniform(0.0, 0.2)
        return share * image_height + height
    if rng.random() < 0.15:
        return image_height + rng.uniform(0.05, 0.35) * height
    return rng.uniform(max(height, 0.6 * image_height), 1.02 * image_height)


def _figure(actor: Actor, time: float, size: Size) -> Figure:
    body = actor.at(time)
    shapes = dressed(body, actor.outfit)
    stencil = np.zeros((size[1], size[0]), np.uint8)
    stamp(stencil, shapes)
    return Figure(actor, body, shapes, stencil)


def _noticeable(figures: list[Figure], front: list[Shape], size: Size) -> list[Figure]:
    """Return the figures of whom enough can be seen to be annotated; the others are not drawn."""
    stencil = _overlaid(figures, front, size)
    least = _LEAST_AREA * size[1] ** 2
    kept = []
    for person, figure in enumerate(figures):
        wanted = max(least, _LEAST_SEEN * cv2.countNonZero(figure.stencil))
        seen = visible_area(stencil, person) >= wanted
        if seen and keypoints_inside(figure.body, size) >= _LEAST_KEYPOINTS:
            kept.append(figure)
    return kept


def _overlaid(figures: list[Figure], front: list[Shape], size: Size) -> Image:
    """Return (h, w): who is on top with which part, as PARTS * person + part; 0 for nobody."""
    stencil = np.zeros((size[1], size[0]), np.uint8)
    for person, figure in enumerate(figures):
        cv2.copyTo(figure.stencil + np.uint8(PARTS * person), figure.stencil, stencil)
    stamp(stencil, front)
    return stencil


def _exposed(backdrop: Image, figures: list[Figure], front: list[Shape], time: float) -> Image:
    """Return what the camera sees from just before to just after `time`."""
    frames = [_painted(backdrop, [figure.shapes for figure in figures], front)]
    moving = any(len(figure.actor.motion) > 1 for figure in figures)
    for moment in (time - _SHUTTER, time + _SHUTTER) if moving else ():
        bodies = [(figure.actor.at(moment), figure.actor.outfit) for figure in figures]
        frames.append(_painted(backdrop, [dressed(*each) for each in bodies], front))
    if not moving:
        return frames[0]
    blend = cv2.addWeighted(frames[1], 0.5, frames[2], 0.5, 0)
    return np.asarray(cv2.addWeighted(frames[0], 0.4, blend, 0.6, 0), np.uint8)


def _painted(backdrop: Image, figures: list[list[Shape]], front: list[Shape]) -> Image:
    image = backdrop.copy()
    for shapes in [*figures, front]:
        paint(image, shapes)
    return image
