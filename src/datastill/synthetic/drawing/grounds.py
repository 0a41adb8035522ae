"""Sports grounds: field, court, pool and gym, with their lines and spectators."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from datastill.synthetic.drawing.raster import (
    Colour,
    Image,
    Shape,
    Size,
    box,
    capsule,
    darker,
    disc,
    gradient,
    paint,
    random_colour,
    spread_ground,
)

_CHALK: Colour = (236, 238, 236)


def sports_ground(rng: np.random.Generator, size: Size) -> Image:
    """Draw a sports ground."""
    places = (_field, _court, _pool, _gym)
    return places[rng.choice(4, p=(0.4, 0.3, 0.12, 0.18))](rng, size)


def _field(rng: np.random.Generator, size: Size) -> Image:
    image = gradient(size, (96, 108, 124), (70, 78, 92))
    horizon = rng.uniform(0.12, 0.4)
    paint(image, _spectators(rng, size, horizon * size[1]))
    grass: Colour = (rng.uniform(40, 90), rng.uniform(115, 160), rng.uniform(40, 70))
    line = spread_ground(image, grass, horizon)
    vanishing = np.array([rng.uniform(-0.5, 1.5) * size[0], line - 0.9 * size[1]])
    for start in np.arange(-1.0, 2.0, 0.36) * size[0]:
        paint(image, [_strip(vanishing, start, 0.18 * size[0], size[1], line)])
    paint(image, _chalk(rng, size, line))
    return image


def _strip(vanishing: np.ndarray, start: float, wide: float, low: float, line: float) -> Shape:
    """Return a band of mown grass that runs towards the `vanishing` point."""
    near = np.array([[start, low], [start + wide, low]])
    far = near + (vanishing - near) * ((line - low) / (vanishing[1] - low))
    return Shape(np.concatenate([near, far[::-1]]), (62, 138, 58))


def _court(rng: np.random.Generator, size: Size) -> Image:
    wall = random_colour(rng, (0.1, 0.4), (0.25, 0.6))
    image = gradient(size, wall, darker(wall, 0.8))
    horizon = rng.uniform(0.25, 0.5)
    paint(image, _spectators(rng, size, 0.8 * horizon * size[1]))
    floors: tuple[Colour, ...] = ((206, 148, 90), (182, 96, 62), (62, 110, 170), (70, 140, 110))
    line = spread_ground(image, floors[rng.integers(len(floors))], horizon)
    paint(image, _chalk(rng, size, line))
    if rng.random() < 0.5:
        paint(image, _net(rng, size, line))
    return image


def _pool(rng: np.random.Generator, size: Size) -> Image:
    image = gradient(size, (186, 200, 204), (150, 170, 180))
    line = spread_ground(image, (48, 152, 196), rng.uniform(0.2, 0.4))
    for lane in np.linspace(line, 1.2 * size[1], 5)[1:]:
        for x in np.arange(0, size[0], size[0] / 20):
            colour: Colour = (214, 60, 52) if int(x) % 2 else (240, 240, 240)
            floater = box(x, lane - 0.008 * size[1], x + size[0] / 24, lane + 0.008 * size[1])
            paint(image, [Shape(floater, colour)])
    return image


def _gym(rng: np.random.Generator, size: Size) -> Image:
    wall = random_colour(rng, (0.02, 0.15), (0.5, 0.85))
    image = gradient(size, wall, darker(wall, 0.85))
    width, height = size
    line = spread_ground(image, random_colour(rng, (0.2, 0.6), (0.3, 0.6)), rng.uniform(0.5, 0.75))
    for _ in range(2):  # wall bars
        left, wide = rng.uniform(0, 0.8) * width, rng.uniform(0.12, 0.25) * width
        bars = np.arange(0.05 * height, line, 0.06 * height)
        paint(image, (Shape(box(left, y, left + wide, y + 3), (168, 120, 72)) for y in bars))
        paint(image, [Shape(box(left, 0, left + 4, line), (120, 84, 50))])
    mat = line + rng.uniform(0.05, 0.15) * height
    paint(image, [Shape(box(0.1 * width, mat, 0.9 * width, mat + 0.08 * height), (60, 90, 160))])
    return image


def _spectators(rng: np.random.Generator, size: Size, low: float) -> Iterator[Shape]:
    """Return rows of small dots of colour: a crowd too far away to be people."""
    step = 0.035 * size[1]
    colours = [random_colour(rng, (0.1, 0.5), (0.3, 0.7)) for _ in range(12)]
    for x in np.arange(0, size[0], 2.2 * step):
        for y in np.arange(step, low, 2.2 * step):
            spot = np.array([x, y]) + rng.normal(0, 0.25 * step, 2)
            yield Shape(disc(spot, 0.7 * step), colours[rng.integers(12)])


def _chalk(rng: np.random.Generator, size: Size, line: float) -> Iterator[Shape]:
    thick = 0.006 * size[1]
    for _ in range(rng.integers(2, 5)):
        ends = rng.uniform((-0.2, line / size[1]), (1.2, 1.1), (2, 2)) * size
        yield Shape(capsule(ends[0], ends[1], thick, thick), _CHALK)


def _net(rng: np.random.Generator, size: Size, line: float) -> Iterator[Shape]:
    top, low = line - rng.uniform(0.02, 0.15) * size[1], line + 0.12 * size[1]
    yield Shape(box(0, top, size[0], top + 4), _CHALK)
    for x in np.arange(0, size[0], size[0] / 26):
        yield Shape(box(x, top, x + 1, low), (176, 180, 182))
    for y in np.arange(top, low, size[1] / 22):
        yield Shape(box(0, y, size[0], y + 1), (176, 180, 182))
