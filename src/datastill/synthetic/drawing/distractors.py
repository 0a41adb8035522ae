"""Clutter around people: some of it resembles them, some hides them."""

from collections.abc import Iterator

import numpy as np

from datastill.synthetic.drawing.colours import Colour, darker, random_colour
from datastill.synthetic.drawing.outlines import Points, box, capsule, disc, moved, oval
from datastill.synthetic.drawing.raster import Polygon, Size

_SKINS: tuple[Colour, ...] = ((236, 196, 164), (176, 124, 84), (110, 74, 50))


def random_distractor(
    rng: np.random.Generator, size: Size, kinds: tuple[str, ...]
) -> Iterator[Polygon]:
    """Sample a distractor of one of `kinds` somewhere in a picture of `size`."""
    return DISTRACTORS[kinds[rng.integers(len(kinds))]](rng, size)


def obstacle(rng: np.random.Generator, size: Size, kinds: tuple[str, ...]) -> list[Polygon]:
    """Sample a distractor in front of people that hides them in a stencil."""
    polygons = random_distractor(rng, size, kinds)
    return [Polygon(polygon.points, polygon.colour, 0) for polygon in polygons]


def _ball(rng: np.random.Generator, size: Size) -> Iterator[Polygon]:
    centre, radius = _position(rng, size, 0.1), rng.uniform(0.02, 0.08) * size[1]
    colour = random_colour(rng)
    yield Polygon(disc(centre, radius), darker(colour, 0.7))
    yield Polygon(disc(centre - 0.2 * radius, 0.7 * radius), colour)


def _post(rng: np.random.Generator, size: Size) -> Iterator[Polygon]:
    """Sample an upright pole, sometimes with a sign."""
    x, low = rng.uniform(0, 1) * size[0], rng.uniform(0.6, 1.05) * size[1]
    high, half = low - rng.uniform(0.3, 1.0) * size[1], rng.uniform(0.005, 0.022) * size[1]
    colour = random_colour(rng, (0, 0.5), (0.2, 0.9))
    yield Polygon(box(x - half, high, x + half, low), darker(colour, 0.75))
    yield Polygon(box(x - half, high, x, low), colour)
    if rng.random() < 0.4:
        sign = box(x - 5 * half, high, x + 5 * half, high + 7 * half)
        yield Polygon(sign, random_colour(rng))


def _lamp(rng: np.random.Generator, size: Size) -> Iterator[Polygon]:
    """Sample a lamp: a head on a thin body."""
    foot, high = _position(rng, size, 0.35), rng.uniform(0.2, 0.6) * size[1]
    top = moved(foot, 0, -high)
    half = 0.02 * high
    yield Polygon(capsule(foot, top, half, half), random_colour(rng, (0, 0.4), (0.1, 0.6)))
    yield Polygon(oval(foot, np.array([0.12 * high, 0.03 * high])), (60, 56, 52))
    colour = random_colour(rng, (0.05, 0.5), (0.6, 1.0))
    if rng.random() < 0.5:
        yield Polygon(disc(top, 0.1 * high), colour)
    else:
        shade = np.array([[-0.08, -0.1], [0.08, -0.1], [0.16, 0.1], [-0.16, 0.1]]) * high
        yield Polygon(top + shade, colour)


def _blob(rng: np.random.Generator, size: Size) -> Iterator[Polygon]:
    """Sample a patch of skin or cloth colour."""
    centre, radii = _position(rng, size, 0.0), rng.uniform(0.02, 0.12, 2) * size[1]
    skin = _SKINS[rng.integers(len(_SKINS))]
    colour = skin if rng.random() < 0.6 else random_colour(rng)
    yield Polygon(oval(centre, radii), darker(colour, 0.85))
    yield Polygon(oval(centre, 0.8 * radii), colour)


def _limb(rng: np.random.Generator, size: Size) -> Iterator[Polygon]:
    """Sample a loose tapered stick in skin or cloth colour, bent once."""
    start, length = _position(rng, size, 0.0), rng.uniform(0.06, 0.2) * size[1]
    skin = rng.random() < 0.5
    colour = _SKINS[rng.integers(len(_SKINS))] if skin else random_colour(rng)
    thick = rng.uniform(0.1, 0.24) * length
    for thinner in (1.0, 0.7):
        angle = rng.uniform(0, 2 * np.pi)
        end = start + length * np.array([np.cos(angle), np.sin(angle)])
        yield Polygon(capsule(start, end, thick * thinner, thick * thinner * 0.7), colour)
        start = end


def _dog(rng: np.random.Generator, size: Size) -> Iterator[Polygon]:
    foot, long = _position(rng, size, 0.45), rng.uniform(0.12, 0.35) * size[1]
    ahead = rng.choice([-1.0, 1.0])
    colour = random_colour(rng, (0.1, 0.6), (0.15, 0.9))
    back = moved(foot, 0, -0.55 * long)
    for along in (-0.42, -0.3, 0.3, 0.42):
        hip = moved(back, along * long, 0)
        paw = moved(hip, rng.normal(0, 0.06) * long, 0.55 * long)
        yield Polygon(capsule(hip, paw, 0.07 * long, 0.045 * long), darker(colour, 0.75))
    rump, chest = moved(back, -0.4 * ahead * long, 0), moved(back, 0.4 * ahead * long, 0)
    head = moved(chest, 0.22 * ahead * long, -0.3 * long)
    tail_end = moved(rump, -0.25 * ahead * long, -0.25 * long)
    nose = moved(head, 0.18 * ahead * long, 0.05 * long)
    yield Polygon(capsule(rump, tail_end, 0.05 * long, 0.02 * long), colour)
    yield Polygon(capsule(rump, chest, 0.17 * long, 0.2 * long), colour)
    yield Polygon(capsule(chest, head, 0.13 * long, 0.13 * long), colour)
    yield Polygon(capsule(head, nose, 0.11 * long, 0.06 * long), colour)


def _coat(rng: np.random.Generator, size: Size) -> Iterator[Polygon]:
    """Sample clothes on a hook: a body without head or limbs."""
    top, high = _position(rng, size, 0.0), rng.uniform(0.15, 0.4) * size[1]
    colour = random_colour(rng)
    outline = np.array([[-0.2, 0.05], [0.2, 0.05], [0.26, 1.0], [-0.26, 1.0]]) * high
    yield Polygon(top + outline, colour)
    for side in (-1, 1):
        shoulder = moved(top, 0.2 * side * high, 0.1 * high)
        cuff = moved(top, 0.3 * side * high, 0.7 * high)
        yield Polygon(capsule(shoulder, cuff, 0.07 * high, 0.05 * high), darker(colour, 0.8))


def _bush(rng: np.random.Generator, size: Size) -> Iterator[Polygon]:
    foot, high = _position(rng, size, 0.55), rng.uniform(0.12, 0.35) * size[1]
    green: Colour = (rng.uniform(30, 130), rng.uniform(80, 160), rng.uniform(25, 90))
    for _ in range(6):
        centre = foot + rng.normal(0, 0.3, 2) * high
        radius = rng.uniform(0.2, 0.4) * high
        yield Polygon(disc(centre, radius), darker(green, rng.uniform(0.7, 1.25)))


def _crate(rng: np.random.Generator, size: Size) -> Iterator[Polygon]:
    foot, (wide, high) = _position(rng, size, 0.5), rng.uniform(0.1, 0.35, 2) * size[1]
    colour = random_colour(rng, (0.05, 0.7), (0.25, 0.9))
    left, top = foot[0] - wide / 2, foot[1] - high
    yield Polygon(box(left, top, left + wide, foot[1]), colour)
    yield Polygon(box(left, top, left + wide, top + 0.15 * high), darker(colour, 1.25))


def _table(rng: np.random.Generator, size: Size) -> Iterator[Polygon]:
    """Sample a table seen from the side."""
    foot, (wide, high) = _position(rng, size, 0.7), rng.uniform((0.3, 0.2), (0.8, 0.4)) * size[1]
    wood = random_colour(rng, (0.1, 0.6), (0.25, 0.85))
    left, top, thick = foot[0] - wide / 2, foot[1] - high, 0.1 * high
    for x in (left + 0.08 * wide, left + 0.88 * wide):
        yield Polygon(box(x, top, x + 0.06 * wide, foot[1]), darker(wood, 0.7))
    yield Polygon(box(left, top, left + wide, top + thick + 2), wood)


def _position(rng: np.random.Generator, size: Size, top: float) -> Points:
    """Sample a point of the picture that is not above `top`, a share of the height."""
    return rng.uniform((0, top), (1, 1.02)) * size


DISTRACTORS = {
    "ball": _ball, "post": _post, "lamp": _lamp, "blob": _blob, "dog": _dog, "coat": _coat,
    "bush": _bush, "crate": _crate, "limb": _limb, "table": _table,
}  # fmt: skip
EVERYDAY = tuple(kind for kind in DISTRACTORS if kind != "table")
