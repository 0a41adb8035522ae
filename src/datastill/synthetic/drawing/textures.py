"""Prints and seams of a shirt: collar, bands, numbers; front and back differ."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from datastill.synthetic.drawing.bodies import Body
from datastill.synthetic.drawing.colours import darker
from datastill.synthetic.drawing.outfits import Outfit
from datastill.synthetic.drawing.outlines import Points, box
from datastill.synthetic.drawing.raster import Polygon

# From corners on the shirt: -1 (right) to 1 (left) across, 0 (collar) to 1 (waist) down.
ToPixels = Callable[[ArrayLike], Points]
_SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg",
             "abcdfg")  # fmt: skip  # of a digit
_BARS = {
    "a": (0, 0, 1, 0.16), "b": (0.8, 0, 1, 0.5), "c": (0.8, 0.5, 1, 1), "d": (0, 0.84, 1, 1),
    "e": (0, 0.5, 0.2, 1), "f": (0, 0, 0.2, 0.5), "g": (0, 0.42, 1, 0.58),
}  # fmt: skip


def shirt_details(body: Body, outfit: Outfit) -> Iterator[Polygon]:
    """Return the details of a shirt, seen from its front or its back."""
    facing = float(body.trunk[2][2])
    on = _to_pixels(body)
    if facing > 0.2:
        yield Polygon(on([(-0.3, 0.0), (0.3, 0.0), (0.0, 0.2)]), darker(outfit.skin, 0.92))
    words = outfit.pattern.split()
    if "bands" in words or "stripes" in words:
        yield from _lines(on, outfit, across="bands" in words)
    if "sash" in words:
        yield Polygon(on([(-0.9, 0.05), (-0.5, 0.05), (0.8, 0.95), (0.4, 0.95)]), outfit.accent)
    if "number" in words and abs(facing) > 0.25:
        yield from _number(on, outfit, 1.0 if facing > 0 else -1.4)
    if facing > 0.2:
        yield from _front(on, outfit)
    elif facing < -0.2 and "bag" in words:
        yield Polygon(on([(-0.6, 0.1), (0.6, 0.1), (0.7, 0.8), (-0.7, 0.8)]), outfit.accent)
        yield Polygon(on(box(-0.4, 0.5, 0.4, 0.7)), darker(outfit.accent, 0.7))


def _front(on: ToPixels, outfit: Outfit) -> Iterator[Polygon]:
    if outfit.pattern == "logo":
        yield Polygon(on(box(-0.35, 0.3, 0.35, 0.55)), outfit.accent)
    if outfit.pattern == "open":
        yield Polygon(on([(-0.25, 0.05), (0.25, 0.05), (0.3, 1.0), (-0.3, 1.0)]), outfit.accent)
    if outfit.pattern == "buttons":
        yield Polygon(on(box(-0.04, 0.2, 0.04, 1)), darker(outfit.shirt, 0.5))
    if outfit.pattern == "bag":
        for side in (-1, 1):
            strap = [(0.55 * side, 0), (0.75 * side, 0), (0.75 * side, 0.7), (0.6 * side, 0.7)]
            yield Polygon(on(strap), outfit.accent)


def _to_pixels(body: Body) -> ToPixels:
    """Return the map from the shirt's corners to pixels."""
    names = ("right_shoulder", "left_shoulder", "right_hip", "left_hip")
    high_right, high_left, low_right, low_left = (body.joints[name][:2] for name in names)

    def on(corners: ArrayLike) -> Points:
        across, down = np.array(corners).T[:, :, None]
        top = high_right + (0.5 + 0.46 * across) * (high_left - high_right)
        bottom = low_right + (0.5 + 0.5 * across) * (low_left - low_right)
        return top + 0.92 * down * (bottom - top)

    return on


def _lines(on: ToPixels, outfit: Outfit, across: bool) -> Iterator[Polygon]:
    half = 0.08
    for start in (-0.8, -0.4, 0.0, 0.4, 0.8):
        area = (start - half, 0.04, start + half, 1.0)
        if across:
            area = (-1.0, 0.55 + start / 1.8 - half / 1.6, 1.0, 0.55 + start / 1.8 + half / 1.6)
        yield Polygon(on(box(*area)), outfit.accent)


def _number(on: ToPixels, outfit: Outfit, size: float) -> Iterator[Polygon]:
    """Return the number in seven segments, upright for the viewer; a negative size is the back."""
    for column, digit in enumerate(str(outfit.number)):
        for name in _SEGMENTS[int(digit)]:
            left, top, right, bottom = _BARS[name]
            x = [size * (0.38 * (column + edge) + 0.06 * column - 0.4) for edge in (left, right)]
            y = [0.28 + 0.3 * abs(size) * edge for edge in (top, bottom)]
            yield Polygon(on(box(x[0], y[0], x[1], y[1])), outfit.accent)
