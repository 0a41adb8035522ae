"""COCO annotations of drawn people and objects, from a stencil of what is on top."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import PERSON_KEYPOINTS, Record
from datastill.synthetic.drawing.bodies import Body
from datastill.synthetic.drawing.clothed_body import PARTS, keypoint_parts
from datastill.synthetic.drawing.raster import Image, Polygon, Size, stamp

Stencil = NDArray[np.uint16]

# The centre that a joint belongs to and its smallest z, relative to that and in body heights, on
# the side that faces the viewer; elbows, wrists, knees and ankles face every side.
_FACING = {
    "nose": ("head", -0.01), "eye": ("head", 0.012), "ear": ("head", -0.03),
    "shoulder": ("neck", -0.06), "hip": ("pelvis", -0.045),
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """A person or an object of a scene, as polygons and as a stencil (h, w) of its own parts."""

    polygons: list[Polygon]
    stencil: Image


AnyLayer = TypeVar("AnyLayer", bound=Layer)


def overlay(layers: Sequence[Layer], front: list[Polygon], size: Size) -> Stencil:
    """Return (h, w) the layer and part on top, as PARTS * index + part; 0 if there is none.

    The last layer is the nearest; `front` hides them all.
    """
    stencil = np.zeros((size[1], size[0]), np.uint16)
    for index, layer in enumerate(layers):
        own = layer.stencil > 0
        stencil[own] = PARTS * index + layer.stencil[own]
    stamp(stencil, front)
    return stencil


def visible_enough(
    layers: Sequence[AnyLayer], front: list[Polygon], size: Size, minima: tuple[float, float]
) -> list[AnyLayer]:
    """Return the layers with enough visible pixels to be annotated.

    minima  a share of the image height squared, and a share of the layer's own silhouette
    """
    stencil = overlay(layers, front, size)
    return [
        layer
        for index, layer in enumerate(layers)
        if visible_area(stencil, index)
        >= max(minima[0] * size[1] ** 2, minima[1] * cv2.countNonZero(layer.stencil))
    ]


def visible_area(stencil: Stencil, index: int) -> int:
    """Return how many pixels of layer `index` are on top."""
    return cv2.countNonZero(_mask(stencil, index))


def _mask(stencil: Stencil, index: int) -> Image:
    first = PARTS * index
    return np.asarray(cv2.inRange(stencil, first + 1, first + PARTS - 1), np.uint8)


def annotate(stencil: Stencil, index: int, category: int, body: Body | None = None) -> Record:
    """Return the COCO annotation of layer `index` in `stencil`, with the keypoints of a `body`."""
    mask = _mask(stencil, index)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return {
        "category_id": category,
        "bbox": [float(number) for number in cv2.boundingRect(mask)],
        "area": float(np.count_nonzero(mask)),
        "segmentation": [each.astype(float).ravel().tolist() for each in contours if len(each) > 2],
        **(_keypoints(stencil, index, body) if body else {}),
        "iscrowd": 0,
    }


def _keypoints(stencil: Stencil, index: int, body: Body) -> Record:
    height, width = stencil.shape
    points: list[tuple[float, float, int]] = []
    for name in PERSON_KEYPOINTS:
        x, y, z = body.joints[name]
        column, row = math.floor(x), math.floor(y)
        if not (0 <= column < width and 0 <= row < height):
            points.append((0.0, 0.0, 0))
            continue
        near = stencil[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        parts = {PARTS * index + part for part in keypoint_parts(name)}
        centre, smallest = _FACING.get(name.rpartition("_")[2], ("neck", -math.inf))
        facing = z - body.joints[centre][2] > smallest * body.height
        visible = facing and not parts.isdisjoint(near.ravel().tolist())
        points.append((round(float(x), 2), round(float(y), 2), 2 if visible else 1))
    return {
        "keypoints": [number for point in points for number in point],
        "num_keypoints": sum(v > 0 for _, _, v in points),
    }
