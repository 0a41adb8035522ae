"""Filled polygons: the one primitive that drawn people, things and backgrounds are made of."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass

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
class Shape:
    """One filled polygon.

    points  (n, 2) x, y in pixels
    colour  RGB, 0 to 255
    part    what the stencil shows at its pixels (0 hides a person); None leaves the stencil as is
    """

    points: Points
    colour: Colour
    part: int | None = None


def paint(image: Image, shapes: Iterable[Shape]) -> None:
    """Fill `shapes` into the RGB `image` in their order, with smooth edges."""
    for shape in shapes:
        points = _fixed_point(shape.points)
        cv2.fillPoly(image, [points], shape.colour, cv2.LINE_AA, _SUBPIXEL_BITS)


def stamp(stencil: Image, shapes: Iterable[Shape], offset: int = 0) -> None:
    """Write `part + offset` of the shapes that have a part into the (h, w) `stencil`."""
    for shape in shapes:
        if shape.part is not None:
            points = _fixed_point(shape.points)
            cv2.fillPoly(stencil, [points], shape.part + offset, cv2.LINE_8, _SUBPIXEL_BITS)


def _fixed_point(points: Points) -> NDArray[np.int32]:
    return np.rint(points * 2**_SUBPIXEL_BITS).astype(np.int32)


def disc(centre: Points, radius: float) -> Points:
    """Return a circle."""
    return centre[:2] + radius * _CIRCLE


def oval(centre: tuple[float, float], radii: tuple[float, float]) -> Points:
    """Return an upright ellipse."""
    return np.asarray(centre) + np.asarray(radii) * _CIRCLE


def capsule(start: Points, end: Points, start_radius: float, end_radius: float) -> Points:
    """Return the outline of a round-ended limb that tapers from `start` to `end`."""
    return lit_capsule(start, end, start_radius, end_radius)[0]


def lit_capsule(
    start: Points, end: Points, start_radius: float, end_radius: float
) -> tuple[Points, Points]:
    """Return the outline of such a limb and of its side that lies in the light."""
    at_end = (_CIRCLE @ (end - start)[:2] >= 0)[:, None]
    middle = np.where(at_end, end[:2], start[:2])
    radius = np.where(at_end, end_radius, start_radius)
    return middle + radius * _CIRCLE, middle + radius * _LIT


def hull(points: Points) -> Points:
    """Return the convex hull of (n, 2) points."""
    return cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)


def moved(point: Points, right: float, down: float) -> Points:
    """Return a point so many pixels further right and down."""
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
    """Return an image that goes from `top` to `bottom`."""
    ramp = np.linspace(top, bottom, size[1])[:, None].clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(ramp, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def spread_ground(image: Image, colour: Colour, horizon: float) -> float:
    """Paint the ground below `horizon`, a share of the height, and return its line in pixels."""
    height, width = image.shape[:2]
    line = round(horizon * height)
    image[line:] = gradient((width, height - line), darker(colour, 0.9), darker(colour, 1.12))
    return float(line)
