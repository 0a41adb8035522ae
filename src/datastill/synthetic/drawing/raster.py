"""Filled polygons: the one primitive that drawn people, objects and backgrounds are made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from datastill.synthetic.drawing.colours import Colour, darker
from datastill.synthetic.drawing.outlines import Points

Image = NDArray[np.uint8]
Size = tuple[int, int]  # width, height in pixels

_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Polygon:
    """One filled polygon.

    points  (n, 2) x, y in pixels
    colour  RGB, 0 to 255
    part    the value of its pixels in a stencil (0 hides everything behind); None leaves them as is
    """

    points: Points
    colour: Colour
    part: int | None = None


def paint(image: Image, polygons: Iterable[Polygon]) -> Image:
    """Fill `polygons` into the RGB `image` in their order, with smooth edges, and return it."""
    for polygon in polygons:
        points = _fixed_point(polygon.points)
        cv2.fillPoly(image, [points], polygon.colour, cv2.LINE_AA, _SUBPIXEL_BITS)
    return image


def stamp(stencil: NDArray[Any], polygons: Iterable[Polygon]) -> None:
    """Write the part of every polygon that has one into the (h, w) `stencil`."""
    for polygon in polygons:
        if polygon.part is not None:
            points = _fixed_point(polygon.points)
            cv2.fillPoly(stencil, [points], polygon.part, cv2.LINE_8, _SUBPIXEL_BITS)


def stencil_of(polygons: Iterable[Polygon], size: Size) -> Image:
    """Return a stencil (h, w) of only `polygons`."""
    stencil = np.zeros((size[1], size[0]), np.uint8)
    stamp(stencil, polygons)
    return stencil


def _fixed_point(points: Points) -> NDArray[np.int32]:
    return np.rint(points * 2**_SUBPIXEL_BITS).astype(np.int32)


def gradient(size: Size, top: Colour, bottom: Colour) -> Image:
    """Return an image that fades from `top` to `bottom`."""
    ramp = np.linspace(top, bottom, size[1])[:, None].clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(ramp, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def paint_ground(image: Image, colour: Colour, horizon: float) -> float:
    """Paint the ground below `horizon`, a share of the height, and return its line in pixels."""
    height, width = image.shape[:2]
    line = round(horizon * height)
    image[line:] = gradient((width, height - line), darker(colour, 0.9), darker(colour, 1.12))
    return float(line)
