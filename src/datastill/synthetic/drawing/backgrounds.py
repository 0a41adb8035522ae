"""Backgrounds of drawn people: rooms, streets, parks and sports grounds, with their clutter."""

from collections.abc import Iterator

import cv2
import numpy as np

from datastill.synthetic.drawing.colours import Colour, darker, mix, random_colour
from datastill.synthetic.drawing.distractors import DISTRACTORS, EVERYDAY, random_distractor
from datastill.synthetic.drawing.outlines import box, capsule, disc, oval
from datastill.synthetic.drawing.raster import Image, Polygon, Size, gradient, paint, paint_ground

_CHALK: Colour = (236, 238, 236)


def everyday_background(
    rng: np.random.Generator,
    size: Size,
    counts: tuple[int, int] = (2, 8),
    kinds: tuple[str, ...] = EVERYDAY,
) -> Image:
    """Draw an ordinary place, without people, with `counts` [low, high) distractors of `kinds`."""
    places = (_room, _street, _park, _blocks)
    image = places[rng.choice(4, p=(0.32, 0.26, 0.24, 0.18))](rng, size)
    for _ in range(rng.integers(*counts)):
        paint(image, random_distractor(rng, size, kinds))
    return _hazy(image, rng, 9.0)


def sport_background(rng: np.random.Generator, size: Size) -> Image:
    """Draw a sports ground with its lines and surroundings."""
    places = (_field, _court, _pool, _gym)
    image = places[rng.choice(4, p=(0.4, 0.3, 0.12, 0.18))](rng, size)
    for _ in range(rng.integers(0, 4)):
        kind = "post" if rng.random() < 0.6 else "ball"
        paint(image, DISTRACTORS[kind](rng, size))
    return _hazy(image, rng, 5.0)


def _hazy(image: Image, rng: np.random.Generator, strength: float) -> Image:
    """Add light and shadow at two coarse grains, then fade, so that people stand out."""
    height, width = image.shape[:2]
    light = np.zeros((height, width), np.float32)
    for cells, share in ((6, 1.0), (30, 0.6)):
        grid = rng.normal(0, strength * share, (cells, cells)).astype(np.float32)
        light += cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    lit = cv2.add(image, cv2.merge([light] * 3), dtype=cv2.CV_8U)
    return np.asarray(cv2.addWeighted(lit, 0.5, np.full_like(lit, 168), 0.5, 0), np.uint8)


def _room(rng: np.random.Generator, size: Size) -> Image:
    wall = random_colour(rng, (0.03, 0.45), (0.4, 0.95))
    image = gradient(size, darker(wall, 1.05), darker(wall, 0.85))
    width, height = size
    if rng.random() < 0.35:
        stripe, step = darker(wall, rng.uniform(0.8, 1.2)), width * rng.uniform(0.05, 0.12)
        edges = np.arange(0, width, step)
        paint(image, (Polygon(box(x, 0, x + step / 2, height), stripe) for x in edges))
    floor = random_colour(rng, (0.05, 0.6), (0.25, 0.8))
    line = paint_ground(image, floor, rng.uniform(0.5, 0.8))
    return paint(image, _furniture(rng, size, line))


def _furniture(rng: np.random.Generator, size: Size, line: float) -> Iterator[Polygon]:
    width, height = size
    for _ in range(rng.integers(1, 5)):
        left, wide = rng.uniform(-0.1, 0.95) * width, rng.uniform(0.08, 0.35) * width
        colour = random_colour(rng, (0.02, 0.7), (0.2, 1.0))
        if rng.random() < 0.45:  # a window or a picture
            top = rng.uniform(0.02, 0.3) * height
            low = top + rng.uniform(0.12, 0.35) * height
            yield Polygon(box(left - 3, top - 3, left + wide + 3, low + 3), darker(colour, 0.5))
            yield Polygon(box(left, top, left + wide, low), colour)
            bar = box(left + 0.48 * wide, top, left + 0.52 * wide, low)
            yield Polygon(bar, darker(colour, 0.5))
            continue
        top = line - rng.uniform(0.08, 0.5) * height  # a cupboard
        low = line + rng.uniform(0, 0.12) * height
        yield Polygon(box(left, top, left + wide, low), colour)
        for y in np.linspace(top, low, rng.integers(3, 6))[1:-1]:  # shelves
            yield Polygon(box(left, y - 1, left + wide, y + 1), darker(colour, 0.6))


def _street(rng: np.random.Generator, size: Size) -> Image:
    sky = random_colour(rng, (0.02, 0.4), (0.55, 1.0))
    image = gradient(size, sky, mix(sky, (255, 255, 255), 0.4))
    width, height = size
    line = rng.uniform(0.45, 0.75) * height
    left = -rng.uniform(0, 0.1) * width
    while left < width:
        right = left + rng.uniform(0.12, 0.4) * width
        top = rng.uniform(-0.2, 0.35) * height
        paint(image, _house(rng, (left, top, right, line + 2)))
        left = right
    grey = random_colour(rng, (0.0, 0.15), (0.3, 0.7))
    paint_ground(image, grey, line / height)
    return image


def _house(rng: np.random.Generator, area: tuple[float, float, float, float]) -> Iterator[Polygon]:
    left, top, right, bottom = area
    colour = random_colour(rng, (0.02, 0.55), (0.3, 0.9))
    yield Polygon(box(left, top, right, bottom), colour)
    glass = darker(colour, rng.uniform(0.4, 1.4))
    columns, rows = rng.integers(2, 5), rng.integers(2, 6)
    wide, high = (right - left) / columns, (bottom - top) / rows
    for column in range(columns):
        for row in range(rows):
            x, y = left + (column + 0.25) * wide, top + (row + 0.2) * high
            yield Polygon(box(x, y, x + 0.5 * wide, y + 0.6 * high), glass)


def _park(rng: np.random.Generator, size: Size) -> Image:
    sky: Colour = (rng.uniform(120, 230), rng.uniform(170, 230), rng.uniform(200, 255))
    image = gradient(size, sky, mix(sky, (255, 255, 255), 0.5))
    grass: Colour = (rng.uniform(60, 170), rng.uniform(110, 180), rng.uniform(30, 90))
    line = paint_ground(image, grass, rng.uniform(0.4, 0.7))
    for _ in range(rng.integers(2, 7)):
        paint(image, _tree(rng, size, line))
    return image


def _tree(rng: np.random.Generator, size: Size, line: float) -> Iterator[Polygon]:
    x, high = rng.uniform(0, 1) * size[0], rng.uniform(0.25, 0.8) * size[1]
    foot, thick = line + rng.uniform(-0.02, 0.1) * size[1], high * rng.uniform(0.04, 0.09)
    top = np.array([x, foot - 0.6 * high])
    yield Polygon(capsule(np.array([x, foot]), top, thick, 0.7 * thick), (92, 66, 44))
    green: Colour = (rng.uniform(30, 130), rng.uniform(80, 150), rng.uniform(25, 80))
    for _ in range(4):
        centre = top + rng.normal(0, 0.12, 2) * high
        radius = high * rng.uniform(0.12, 0.24)
        yield Polygon(disc(centre, radius), darker(green, rng.uniform(0.7, 1.25)))


def _blocks(rng: np.random.Generator, size: Size) -> Image:
    image = gradient(size, random_colour(rng), random_colour(rng))
    for _ in range(rng.integers(6, 22)):
        centre = rng.uniform(0, 1, 2) * size
        radii = rng.uniform(0.02, 0.25, 2) * size[1]
        angular = rng.random() < 0.6
        points = box(*-radii, *radii) if angular else oval(np.zeros(2), radii)
        angle = rng.uniform(0, np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        paint(image, [Polygon(points @ turn + centre, random_colour(rng))])
    return image


def _field(rng: np.random.Generator, size: Size) -> Image:
    image = gradient(size, (96, 108, 124), (70, 78, 92))
    horizon = rng.uniform(0.12, 0.4)
    paint(image, _spectators(rng, size, horizon * size[1]))
    grass: Colour = (rng.uniform(40, 90), rng.uniform(115, 160), rng.uniform(40, 70))
    line = paint_ground(image, grass, horizon)
    vanishing = np.array([rng.uniform(-0.5, 1.5) * size[0], line - 0.9 * size[1]])
    for start in np.arange(-1.0, 2.0, 0.36) * size[0]:  # bands of mown grass
        near = np.array([[start, size[1]], [start + 0.18 * size[0], size[1]]])
        far = near + (vanishing - near) * ((line - size[1]) / (vanishing[1] - size[1]))
        paint(image, [Polygon(np.concatenate([near, far[::-1]]), (62, 138, 58))])
    return paint(image, _chalk(rng, size, line))


def _court(rng: np.random.Generator, size: Size) -> Image:
    wall = random_colour(rng, (0.1, 0.4), (0.25, 0.6))
    image = gradient(size, wall, darker(wall, 0.8))
    horizon = rng.uniform(0.25, 0.5)
    paint(image, _spectators(rng, size, 0.8 * horizon * size[1]))
    floors: tuple[Colour, ...] = ((206, 148, 90), (182, 96, 62), (62, 110, 170), (70, 140, 110))
    line = paint_ground(image, floors[rng.integers(len(floors))], horizon)
    paint(image, _chalk(rng, size, line))
    return paint(image, _net(rng, size, line)) if rng.random() < 0.5 else image


def _pool(rng: np.random.Generator, size: Size) -> Image:
    image = gradient(size, (186, 200, 204), (150, 170, 180))
    line = paint_ground(image, (48, 152, 196), rng.uniform(0.2, 0.4))
    for lane in np.linspace(line, 1.2 * size[1], 5)[1:]:
        for x in np.arange(0, size[0], size[0] / 20):
            colour: Colour = (214, 60, 52) if int(x) % 2 else (240, 240, 240)
            floater = box(x, lane - 0.008 * size[1], x + size[0] / 24, lane + 0.008 * size[1])
            paint(image, [Polygon(floater, colour)])
    return image


def _gym(rng: np.random.Generator, size: Size) -> Image:
    wall = random_colour(rng, (0.02, 0.15), (0.5, 0.85))
    image = gradient(size, wall, darker(wall, 0.85))
    width, height = size
    line = paint_ground(image, random_colour(rng, (0.2, 0.6), (0.3, 0.6)), rng.uniform(0.5, 0.75))
    for _ in range(2):  # wall bars
        left, wide = rng.uniform(0, 0.8) * width, rng.uniform(0.12, 0.25) * width
        bars = np.arange(0.05 * height, line, 0.06 * height)
        paint(image, (Polygon(box(left, y, left + wide, y + 3), (168, 120, 72)) for y in bars))
        paint(image, [Polygon(box(left, 0, left + 4, line), (120, 84, 50))])
    mat = line + rng.uniform(0.05, 0.15) * height
    area = box(0.1 * width, mat, 0.9 * width, mat + 0.08 * height)
    return paint(image, [Polygon(area, (60, 90, 160))])


def _spectators(rng: np.random.Generator, size: Size, low: float) -> Iterator[Polygon]:
    """Return rows of small coloured dots: a crowd too far away to be people."""
    step = 0.035 * size[1]
    colours = [random_colour(rng, (0.1, 0.5), (0.3, 0.7)) for _ in range(12)]
    for x in np.arange(0, size[0], 2.2 * step):
        for y in np.arange(step, low, 2.2 * step):
            centre = np.array([x, y]) + rng.normal(0, 0.25 * step, 2)
            yield Polygon(disc(centre, 0.7 * step), colours[rng.integers(12)])


def _chalk(rng: np.random.Generator, size: Size, line: float) -> Iterator[Polygon]:
    thick = 0.006 * size[1]
    for _ in range(rng.integers(2, 5)):
        ends = rng.uniform((-0.2, line / size[1]), (1.2, 1.1), (2, 2)) * size
        yield Polygon(capsule(ends[0], ends[1], thick, thick), _CHALK)


def _net(rng: np.random.Generator, size: Size, line: float) -> Iterator[Polygon]:
    top, low = line - rng.uniform(0.02, 0.15) * size[1], line + 0.12 * size[1]
    yield Polygon(box(0, top, size[0], top + 4), _CHALK)
    for x in np.arange(0, size[0], size[0] / 26):
        yield Polygon(box(x, top, x + 1, low), (176, 180, 182))
    for y in np.arange(top, low, size[1] / 22):
        yield Polygon(box(0, y, size[0], y + 1), (176, 180, 182))
