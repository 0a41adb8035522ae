"""Filled polygons: the one primitive that drawn people, objects and backgrounds are made of."""

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Image = NDArray[np.uint8]
Colour = tuple[float, float, float]
Size = tuple[int, int]  # width, height in pixels

_ANGLES = np.linspace(0, 2 * np.pi, 18, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_LIT = 0.66 * _CIRCLE + (-0.28, -0.12)
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


def paint(image: Image, polygons: Iterable[Polygon]) -> None:
    """Fill `polygons` into the RGB `image` in their order, with smooth edges."""
    for polygon in polygons:
        points = _fixed_point(polygon.points)
        cv2.fillPoly(image, [points], polygon.colour, cv2.LINE_AA, _SUBPIXEL_BITS)


def stamp(stencil: NDArray[Any], polygons: Iterable[Polygon]) -> None:
    """Write the part of every polygon that has one into the (h, w) `stencil`."""
    for polygon in polygons:
        if polygon.part is not None:
            points = _fixed_point(polygon.points)
            cv2.fillPoly(stencil, [points], polygon.part, cv2.LINE_8, _SUBPIXEL_BITS)


def stencil_of(polygons: Iterable[Polygon], size: Size) -> Image:
    """Return a stencil (h, w) of `polygons` alone."""
    stencil = np.zeros((size[1], size[0]), np.uint8)
    stamp(stencil, polygons)
    return stencil


def _fixed_point(points: Points) -> NDArray[np.int32]:
    return np.rint(points * 2**_SUBPIXEL_BITS).astype(np.int32)


def disc(centre: Points, radius: float) -> Points:
    """Return a circle."""
    return centre[:2] + radius * _CIRCLE


def oval(centre: Points, radii: Points) -> Points:
    """Return an upright ellipse."""
    return centre + radii * _CIRCLE


def capsule(start: Points, end: Points, start_radius: float, end_radius: float) -> Points:
    """Return the outline of a round-ended limb that tapers from `start` to `end`."""
    return lit_capsule(start, end, start_radius, end_radius)[0]


def lit_capsule(
    start: Points, end: Points, start_radius: float, end_radius: float
) -> tuple[Points, Points]:
    """Return the outline of such a limb and of its lit side."""
    at_end = (_CIRCLE @ (end - start)[:2] >= 0)[:, None]
    middle = np.where(at_end, end[:2], start[:2])
    radius = np.where(at_end, end_radius, start_radius)
    return middle + radius * _CIRCLE, middle + radius * _LIT


def hull(points: Points) -> Points:
    """Return the convex hull of (n, 2) points."""
    return cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)


def moved(point: Points, right: float, down: float) -> Points:
    """Return a point moved by pixels."""
    return point + np.array([right, down])


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """Return a rectangle."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=float)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """Return `colour` with a `share` of `other` in it."""
    red, green, blue = (a + share * (b - a) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def darker(colour: Colour, factor: float) -> Colour:
    """Return `colour` times `factor`; above 1 it becomes lighter, up to white."""
    red, green, blue = (min(255.0, channel * factor) for channel in colour)
    return red, green, blue


def random_colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> Colour:
    """Sample a colour of any hue, with saturation and value (0 to 1) in the given ranges."""
    hsv = rng.random(), rng.uniform(*saturation), rng.uniform(*value)
    red, green, blue = (255 * channel for channel in colorsys.hsv_to_rgb(*hsv))
    return red, green, blue


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
