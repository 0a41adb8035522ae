"""Outlines (n, 2) of simple shapes, in pixels: x to the right, y down."""

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

_ANGLES = np.linspace(0, 2 * np.pi, 18, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_LIT = 0.66 * _CIRCLE + (-0.28, -0.12)


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
