"""Objects with a COCO category of their own: chairs, bottles, balls and kites."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from datastill.synthetic.drawing.colours import Colour, darker, random_colour
from datastill.synthetic.drawing.outlines import Points, box, capsule, disc, moved
from datastill.synthetic.drawing.raster import Polygon

_PAINT = ((0.3, 0.95), (0.35, 1.0))


@dataclass(frozen=True)
class ObjectKind:
    """A category of objects.

    category    its id in COCO
    per_person  the mean number of objects for every person
    heights     lowest and highest, as shares of the height of a person beside it
    flies       whether it is in the air
    draw        from a generator, the foot (2,) and the height in pixels to polygons
    """

    name: str
    category: int
    per_person: float
    heights: tuple[float, float]
    flies: bool
    draw: Callable[[np.random.Generator, Points, float], Iterator[Polygon]]


def _chair(rng: np.random.Generator, foot: Points, height: float) -> Iterator[Polygon]:
    """Draw a chair from the side or a little from the front."""
    back = rng.choice([-1.0, 1.0])
    colour = random_colour(rng, *_PAINT)
    half, seat, leg = 0.24 * height, 0.46 * height, 0.035 * height
    shift = rng.uniform(0.0, 0.12) * height * back
    legs = ((-half, 0.05, 0.55), (half, 0.05, 0.55), (-half, 0, 0.8), (half, 0, 0.8))
    for x, lift, shade in legs:
        end = moved(foot, x + (shift if lift else 0), -lift * height)
        yield _solid(capsule(end, moved(end, 0, -seat), leg, leg), darker(colour, shade))
    corner, near, far = moved(foot, 0, -seat), 0.04 * height, -0.07 * height
    surface = np.array([[-half, near], [half, near], [half + shift, far], [-half + shift, far]])
    yield _solid(corner + surface, colour)
    low = moved(corner, back * half, 0)
    top = moved(corner, back * (half + 0.08 * height), seat - height)
    if rng.random() < 0.5:
        yield _solid(capsule(low, top, 1.6 * leg, 1.6 * leg), darker(colour, 0.9))
        return
    wide = back * 0.1 * height
    rest = np.array([low, moved(low, -2 * wide, 0), moved(top, -3 * wide, 0), top])
    yield _solid(rest, darker(colour, 0.9))


def _bottle(rng: np.random.Generator, foot: Points, height: float) -> Iterator[Polygon]:
    half, neck = rng.uniform(0.14, 0.2) * height, rng.uniform(0.05, 0.07) * height
    glass = random_colour(rng, (0.2, 0.9), (0.25, 0.85))
    x, y = foot[:2]
    shoulder, top = y - 0.6 * height, y - 0.92 * height
    body = np.array(
        [[x - half, y], [x - half, shoulder], [x - neck, y - 0.74 * height], [x - neck, top],
         [x + neck, top], [x + neck, y - 0.74 * height], [x + half, shoulder], [x + half, y]]
    )  # fmt: skip
    yield _solid(body, darker(glass, 0.8))
    yield Polygon(box(x - 0.7 * half, shoulder, x - 0.2 * half, y - 0.04 * height), glass)
    cap = random_colour(rng, *_PAINT)
    yield _solid(box(x - 1.2 * neck, y - height, x + 1.2 * neck, top), cap)
    if rng.random() < 0.7:
        label = random_colour(rng, (0.0, 0.6), (0.7, 1.0))
        yield Polygon(box(x - half, y - 0.48 * height, x + half, y - 0.2 * height), label)


def _ball(rng: np.random.Generator, foot: Points, height: float) -> Iterator[Polygon]:
    """Draw a ball with patches."""
    radius = height / 2
    centre = moved(foot, 0, -radius)
    colour = random_colour(rng, (0.0, 0.9), (0.6, 1.0))
    patch: Colour = darker(colour, 0.35) if rng.random() < 0.7 else (245.0, 245.0, 240.0)
    yield _solid(disc(centre, radius), darker(colour, 0.75))
    yield Polygon(disc(centre - 0.12 * radius, 0.82 * radius), colour)
    turn = rng.uniform(0, 2 * np.pi)
    for angle in turn + 2 * np.pi * np.arange(5) / 5:
        away = 0.66 * radius * np.array([np.cos(angle), np.sin(angle)])
        yield Polygon(disc(centre + away, 0.19 * radius), patch)
    yield Polygon(disc(centre, 0.24 * radius), patch)


def _kite(rng: np.random.Generator, foot: Points, height: float) -> Iterator[Polygon]:
    """Draw a kite above its `foot`: four fields of two colours, and a tail."""
    colours = [random_colour(rng, *_PAINT) for _ in range(2)]
    angle = rng.normal(0, 0.35)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, -1.0], [0.3, -0.68], [0, -0.2], [-0.3, -0.68]]) * height @ turn
    middle = np.array([0, -0.68]) * height @ turn
    start = corners[2]
    for step in range(3):
        end = start + np.array([rng.normal(0, 0.05), 0.07]) * height
        yield _solid(capsule(foot + start, foot + end, 0.014 * height, 0.014 * height), colours[0])
        yield _solid(disc(foot + end, 0.03 * height), colours[step % 2])
        start = end
    for i in range(4):
        field = np.array([corners[i], corners[(i + 1) % 4], middle])
        yield _solid(foot + field, colours[i % 2])


def _solid(points: Points, colour: Colour) -> Polygon:
    return Polygon(points, colour, 1)  # an object has no parts to tell apart


OBJECT_KINDS = (
    ObjectKind("chair", 62, 1 / 2, (0.42, 0.55), flies=False, draw=_chair),
    ObjectKind("bottle", 44, 1 / 5, (0.22, 0.36), flies=False, draw=_bottle),
    ObjectKind("sports ball", 37, 1 / 12, (0.16, 0.26), flies=False, draw=_ball),
    ObjectKind("kite", 38, 1 / 30, (0.4, 0.7), flies=True, draw=_kite),
)
