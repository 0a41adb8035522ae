"""COCO annotations of drawn bodies, read off a stencil of who is on top where."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import PERSON_KEYPOINTS, Record
from datastill.synthetic.drawing.bodies import Body
from datastill.synthetic.drawing.clothed_body import (
    FOOT,
    FOREARM,
    HAND,
    HEAD,
    PARTS,
    SHIN,
    THIGH,
    TORSO,
    UPPER_ARM,
)
from datastill.synthetic.drawing.raster import Size

Stencil = NDArray[np.uint8]

_SIDED = {
    "shoulder": (UPPER_ARM,), "elbow": (UPPER_ARM, FOREARM), "wrist": (FOREARM, HAND),
    "hip": (THIGH,), "knee": (THIGH, SHIN), "ankle": (SHIN, FOOT),
}  # fmt: skip
_ON_TORSO = {"shoulder", "hip"}
_FACING = {"nose": -0.01, "eye": 0.012, "ear": -0.03}  # least z before the head's middle


def annotated(stencil: Stencil, bodies: list[Body]) -> list[Record]:
    """Return the COCO annotations of `bodies`, numbered in `stencil` in their order."""
    return [_annotation(stencil, body, person) for person, body in enumerate(bodies)]


def visible_area(stencil: Stencil, person: int) -> int:
    """Return how many pixels of `person` are on top."""
    return cv2.countNonZero(_mask(stencil, person))


def keypoints_inside(body: Body, size: Size) -> int:
    """Return how many keypoints fall into a picture of `size`, hidden or not."""
    spots = np.array([body.joints[name][:2] for name in PERSON_KEYPOINTS])
    return int(((spots >= 0) & (spots < size)).all(axis=1).sum())


def _mask(stencil: Stencil, person: int) -> Stencil:
    return np.asarray(
        cv2.inRange(stencil, PARTS * person + 1, PARTS * person + PARTS - 1), np.uint8
    )


def outlined(mask: Stencil) -> Record:
    """Return bbox, area and polygons of what is nonzero in the (h, w) `mask`."""
    left, top, width, height = cv2.boundingRect(mask)
    return {
        "bbox": [float(left), float(top), float(width), float(height)],
        "area": float(np.count_nonzero(mask)),
        "segmentation": _polygons(mask),
    }


def _annotation(stencil: Stencil, body: Body, person: int) -> Record:
    keypoints = _keypoints(stencil, body, person)
    return {
        "category_id": 1,
        **outlined(_mask(stencil, person)),
        "keypoints": [number for point in keypoints for number in point],
        "num_keypoints": sum(v > 0 for _, _, v in keypoints),
        "iscrowd": 0,
    }


def _polygons(mask: Stencil) -> list[list[float]]:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [contour.astype(float).ravel().tolist() for contour in contours if len(contour) > 2]


def _keypoints(stencil: Stencil, body: Body, person: int) -> list[tuple[float, float, int]]:
    height, width = stencil.shape
    points = []
    for name in PERSON_KEYPOINTS:
        x, y, _ = body.joints[name]
        column, row = math.floor(x), math.floor(y)
        if not (0 <= column < width and 0 <= row < height):
            points.append((0.0, 0.0, 0))
            continue
        near = stencil[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        parts = {PARTS * person + part for part in _own_parts(name)}
        shown = _turned_here(body, name) and not parts.isdisjoint(near.ravel().tolist())
        points.append((round(float(x), 2), round(float(y), 2), 2 if shown else 1))
    return points


def _own_parts(name: str) -> list[int]:
    side, _, joint = name.partition("_")
    if joint not in _SIDED:
        return [HEAD]
    own = [part + (side == "right") for part in _SIDED[joint]]
    return [*own, TORSO] if joint in _ON_TORSO else own


def _turned_here(body: Body, name: str) -> bool:
    """Return whether the body does not hide this keypoint itself by being turned away."""
    joint = name.rpartition("_")[2]
    depth = body.joints[name][2]
    if joint in _FACING:
        return bool(depth - body.joints["head"][2] > _FACING[joint] * body.height)
    if joint == "shoulder":
        return bool(depth - body.joints["neck"][2] > -0.06 * body.height)
    if joint == "hip":
        return bool(depth - body.joints["pelvis"][2] > -0.045 * body.height)
    return True
