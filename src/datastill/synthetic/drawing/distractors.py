"""Things that are not people: some look a little like them, some stand before them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from datastill.synthetic.drawing.raster import (
    Colour,
    Shape,
    Size,
    box,
    capsule,
    darker,
    disc,
    moved,
    oval,
    random_colour,
)

_CLOTH = ((0.05, 0.9), (0.2, 1.0))
_SKINS: tuple[Colour, ...] = ((236, 196, 164), (176, 124, 84), (110, 74, 50))


def distractor(rng: np.random.Generator, size: Size) -> Iterator[Shape]:
    """Sample a thing somewhere in the picture."""
    kinds = (ball, post, lamp, blob, dog, coat, bush, crate, limb)
    return kinds[rng.integers(len(kinds))](rng, size)


def thing(kind: str, rng: np.random.Generator, size: Size) -> Iterator[Shape]:
    """Sample a thing of this kind, one of KINDS."""
    return _BY_NAME[kind](rng, size)


def obstacle(rng: np.random.Generator, size: Size, style: str) -> list[Shape]:
    """Sample a thing that stands before people and hides what is behind it."""
    kinds = (ball, post) if style == "sport" else (post, table, bush, crate, ball, dog)
    shapes = kinds[rng.integers(len(kinds))](rng, size)
    return [Shape(shape.points, shape.colour, 0) for shape in shapes]


def ball(rng: np.random.Generator, size: Size) -> Iterator[Shape]:
    """Sample a ball."""
    centre, radius = _spot(rng, size, 0.1), rng.uniform(0.02, 0.08) * size[1]
    colour = random_colour(rng, *_CLOTH)
    yield Shape(disc(centre, radius), darker(colour, 0.7))
    yield Shape(disc(centre - 0.2 * radius, 0.7 * radius), colour)


def post(rng: np.random.Generator, size: Size) -> Iterator[Shape]:
    """Sample an upright pole, sometimes with a sign."""
    x, low = rng.uniform(0, 1) * size[0], rng.uniform(0.6, 1.05) * size[1]
    high, half = low - rng.uniform(0.3, 1.0) * size[1], rng.uniform(0.005, 0.022) * size[1]
    colour = random_colour(rng, (0, 0.5), (0.2, 0.9))
    yield Shape(box(x - half, high, x + half, low), darker(colour, 0.75))
    yield Shape(box(x - half, high, x, low), colour)
    if rng.random() < 0.4:
        sign = box(x - 5 * half, high, x + 5 * half, high + 7 * half)
        yield Shape(sign, random_colour(rng, *_CLOTH))


def lamp(rng: np.random.Generator, size: Size) -> Iterator[Shape]:
    """Sample a lamp: a head on a thin body."""
    foot, high = _spot(rng, size, 0.35), rng.uniform(0.2, 0.6) * size[1]
    top = moved(foot, 0, -high)
    half = 0.02 * high
    yield Shape(capsule(foot, top, half, half), random_colour(rng, (0, 0.4), (0.1, 0.6)))
    yield Shape(oval((foot[0], foot[1]), (0.12 * high, 0.03 * high)), (60, 56, 52))
    shade = random_colour(rng, (0.05, 0.5), (0.6, 1.0))
    if rng.random() < 0.5:
        yield Shape(disc(top, 0.1 * high), shade)
    else:
        wide = np.array([[-0.08, -0.1], [0.08, -0.1], [0.16, 0.1], [-0.16, 0.1]]) * high
        yield Shape(top + wide, shade)


def blob(rng: np.random.Generator, size: Size) -> Iterator[Shape]:
    """Sample a patch of skin or cloth colour."""
    centre, radii = _spot(rng, size, 0.0), rng.uniform(0.02, 0.12, 2) * size[1]
    skin = _SKINS[rng.integers(len(_SKINS))]
    colour = skin if rng.random() < 0.6 else random_colour(rng, *_CLOTH)
    yield Shape(oval((centre[0], centre[1]), (radii[0], radii[1])), darker(colour, 0.85))
    yield Shape(oval((centre[0], centre[1]), (0.8 * radii[0], 0.8 * radii[1])), colour)


def limb(rng: np.random.Generator, size: Size) -> Iterator[Shape]:
    """Sample a loose tapered stick in skin or cloth colour, bent once."""
    start, length = _spot(rng, size, 0.0), rng.uniform(0.06, 0.2) * size[1]
    colour = (
        _SKINS[rng.integers(len(_SKINS))] if rng.random() < 0.5 else random_colour(rng, *_CLOTH)
    )
    thick = rng.uniform(0.1, 0.24) * length
    for thinner in (1.0, 0.7):
        angle = rng.uniform(0, 2 * np.pi)
        end = start + length * np.array([np.cos(angle), np.sin(angle)])
        yield Shape(capsule(start, end, thick * thinner, thick * thinner * 0.7), colour)
        start = end


def dog(rng: np.random.Generator, size: Size) -> Iterator[Shape]:
    """Sample a four-legged animal."""
    foot, long = _spot(rng, size, 0.45), rng.uniform(0.12, 0.35) * size[1]
    ahead = rng.choice([-1.0, 1.0])
    colour = random_colour(rng, (0.1, 0.6), (0.15, 0.9))
    back = moved(foot, 0, -0.55 * long)
    for place in (-0.42, -0.3, 0.3, 0.42):
        hip = moved(back, place * long, 0)
        paw = moved(hip, rng.normal(0, 0.06) * long, 0.55 * long)
        yield Shape(capsule(hip, paw, 0.07 * long, 0.045 * long), darker(colour, 0.75))
    rump, chest = moved(back, -0.4 * ahead * long, 0), moved(back, 0.4 * ahead * long, 0)
    yield Shape(
        capsule(rump, moved(rump, -0.25 * ahead * long, -0.25 * long), 0.05 * long, 0.02 * long),
        colour,
    )
    yield Shape(capsule(rump, chest, 0.17 * long, 0.2 * long), colour)
    head = moved(chest, 0.22 * ahead * long, -0.3 * long)
    yield Shape(capsule(chest, head, 0.13 * long, 0.13 * long), colour)
    yield Shape(
        capsule(head, moved(head, 0.18 * ahead * long, 0.05 * long), 0.11 * long, 0.06 * long),
        colour,
    )


def coat(rng: np.random.Generator, size: Size) -> Iterator[Shape]:
    """Sample clothes on a hook: a body without head or limbs."""
    top, high = _spot(rng, size, 0.0), rng.uniform(0.15, 0.4) * size[1]
    colour = random_colour(rng, *_CLOTH)
    outline = np.array([[-0.2, 0.05], [0.2, 0.05], [0.26, 1.0], [-0.26, 1.0]]) * high
    yield Shape(top + outline, colour)
    for side in (-1, 1):
        shoulder, cuff = (
            moved(top, 0.2 * side * high, 0.1 * high),
            moved(top, 0.3 * side * high, 0.7 * high),
        )
        yield Shape(capsule(shoulder, cuff, 0.07 * high, 0.05 * high), darker(colour, 0.8))


def bush(rng: np.random.Generator, size: Size) -> Iterator[Shape]:
    """Sample a plant."""
    foot, high = _spot(rng, size, 0.55), rng.uniform(0.12, 0.35) * size[1]
    green: Colour = (rng.uniform(30, 130), rng.uniform(80, 160), rng.uniform(25, 90))
    for _ in range(6):
        centre = foot + rng.normal(0, 0.3, 2) * high
        yield Shape(
            disc(centre, rng.uniform(0.2, 0.4) * high), darker(green, rng.uniform(0.7, 1.25))
        )


def crate(rng: np.random.Generator, size: Size) -> Iterator[Shape]:
    """Sample a box."""
    foot, (wide, high) = _spot(rng, size, 0.5), rng.uniform(0.1, 0.35, 2) * size[1]
    colour = random_colour(rng, (0.05, 0.7), (0.25, 0.9))
    left, top = foot[0] - wide / 2, foot[1] - high
    yield Shape(box(left, top, left + wide, foot[1]), colour)
    yield Shape(box(left, top, left + wide, top + 0.15 * high), darker(colour, 1.25))


def table(rng: np.random.Generator, size: Size) -> Iterator[Shape]:
    """Sample a table seen from the side."""
    foot, (wide, high) = _spot(rng, size, 0.7), rng.uniform((0.3, 0.2), (0.8, 0.4)) * size[1]
    wood = random_colour(rng, (0.1, 0.6), (0.25, 0.85))
    left, top, thick = foot[0] - wide / 2, foot[1] - high, 0.1 * high
    for x in (left + 0.08 * wide, left + 0.88 * wide):
        yield Shape(box(x, top, x + 0.06 * wide, foot[1]), darker(wood, 0.7))
    yield Shape(box(left, top, left + wide, top + thick + 2), wood)


def _spot(rng: np.random.Generator, size: Size, highest: float) -> np.ndarray:
    """Sample a point of the picture that is not above `highest`, a share of the height."""
    return rng.uniform((0, highest), (1, 1.02)) * size


_BY_NAME = {
    kind.__name__: kind for kind in (ball, post, lamp, blob, dog, coat, bush, crate, limb, table)
}
KINDS = tuple(_BY_NAME)
