"""COCO annotations of drawn bodies, read off a stencil of the person on top at each pixel."""

from __future__ import annotations

import math

import cv2
import numpy as np

from datastill.coco.format import PERSON_KEYPOINTS, Record
from datastill.synthetic.drawing.bodies import Body
from datastill.synthetic.drawing.clothed_body import PARTS, keypoint_parts
from datastill.synthetic.drawing.raster import Image, Size

# The centre that a joint belongs to and its smallest z relative to that, in body heights.
_FACING = {
    "nose": ("head", -0.01), "eye": ("head", 0.012), "ear": ("head", -0.03),
    "shoulder": ("neck", -0.06), "hip": ("pelvis", -0.045),
}  # fmt: skip


def visible_area(stencil: Image, person: int) -> int:
    """Return how many pixels of `person` are on top."""
    return cv2.countNonZero(_mask(stencil, person))


def keypoints_inside(body: Body, size: Size) -> int:
    """Return how many keypoints fall into a picture of `size`, hidden or not."""
    points = np.array([body.joints[name][:2] for name in PERSON_KEYPOINTS])
    return int(((points >= 0) & (points < size)).all(axis=1).sum())


def _mask(stencil: Image, person: int) -> Image:
    first = PARTS * person
    return np.asarray(cv2.inRange(stencil, first + 1, first + PARTS - 1), np.uint8)


def outline(mask: Image) -> Record:
    """Return bbox, area and polygons of the nonzero pixels of the (h, w) `mask`."""
    left, top, width, height = cv2.boundingRect(mask)
    return {
        "bbox": [float(left), float(top), float(width), float(height)],
        "area": float(np.count_nonzero(mask)),
        "segmentation": _polygons(mask),
    }


def annotate_body(stencil: Image, body: Body, person: int) -> Record:
    """Return the COCO annotation of `body`, number `person` in `stencil`."""
    keypoints = _keypoints(stencil, body, person)
    return {
        "category_id": 1,
        **outline(_mask(stencil, person)),
        "keypoints": [number for point in keypoints for number in point],
        "num_keypoints": sum(v > 0 for _, _, v in keypoints),
        "iscrowd": 0,
    }


def _polygons(mask: Image) -> list[list[float]]:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [contour.astype(float).ravel().tolist() for contour in contours if len(contour) > 2]


def _keypoints(stencil: Image, body: Body, person: int) -> list[tuple[float, float, int]]:
    height, width = stencil.shape
    points = []
    for name in PERSON_KEYPOINTS:
        x, y, _ = body.joints[name]
        column, row = math.floor(x), math.floor(y)
        if not (0 <= column < width and 0 <= row < height):
            points.append((0.0, 0.0, 0))
            continue
        near = stencil[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        parts = {PARTS * person + part for part in keypoint_parts(name)}
        visible = _faces_viewer(body, name) and not parts.isdisjoint(near.ravel().tolist())
        points.append((round(float(x), 2), round(float(y), 2), 2 if visible else 1))
    return points


def _faces_viewer(body: Body, name: str) -> bool:
    """Return whether the keypoint is on the side of the body that faces the viewer."""
    joint = name.rpartition("_")[2]
    if joint not in _FACING:
        return True
    centre, smallest = _FACING[joint]
    return bool(body.joints[name][2] - body.joints[centre][2] > smallest * body.height)
