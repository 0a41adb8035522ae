"""The shapes that a dressed body is painted with, from the farthest to the nearest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from datastill.synthetic.drawing.bodies import Body
from datastill.synthetic.drawing.heads import head_shapes, long_hair
from datastill.synthetic.drawing.outfits import Outfit
from datastill.synthetic.drawing.raster import (
    Colour,
    Points,
    Shape,
    capsule,
    darker,
    disc,
    hull,
    lit_capsule,
)
from datastill.synthetic.drawing.textures import shirt_details

# The stencil's body parts: a keypoint is visible where one of its own parts is on top.
HEAD, TORSO = 1, 2
UPPER_ARM, FOREARM, HAND, THIGH, SHIN, FOOT = 3, 5, 7, 9, 11, 13  # left; right is one more
PARTS = 16


Group = tuple[float, list[Shape]]  # the depth that a part is painted at


def dressed(body: Body, outfit: Outfit) -> list[Shape]:
    """Return the shapes of `body` in `outfit`, the farthest first."""
    groups: list[Group] = [
        (_depth(body, "pelvis", "neck"), list(_torso(body, outfit))),
        (body.joints["head"][2] + 0.05 * body.height, head_shapes(body, outfit, HEAD)),
        (_hair_depth(body), long_hair(body, outfit, HEAD)),
    ]
    for right, side in enumerate(("left", "right")):
        groups += _arm(body, outfit, side, right) + _leg(body, outfit, side, right)
    groups.sort(key=lambda group: group[0])
    return [shape for _, shapes in groups for shape in shapes]


def _depth(body: Body, *names: str) -> float:
    return sum(float(body.joints[name][2]) for name in names) / len(names)


def _hair_depth(body: Body) -> float:
    """Return a depth behind the head and the chest from the front, before both from behind."""
    behind = body.skull[2][2] < 0
    return float(body.joints["head"][2]) + (0.06 if behind else -0.1) * body.height


def _tube(
    body: Body, ends: tuple[Points, Points], radii: tuple[float, float], colour: Colour, part: int
) -> list[Shape]:
    """Return a lit tapered limb between `ends`; radii in body heights."""
    outline, light = lit_capsule(*ends, radii[0] * body.height, radii[1] * body.height)
    return [Shape(outline, darker(colour, 0.76), part), Shape(light, colour)]


def _covered(body: Body, start: str, end: str, share: float) -> tuple[Points, Points]:
    first, last = body.joints[start], body.joints[end]
    return first, first + min(share, 1.0) * (last - first)


def _arm(body: Body, outfit: Outfit, side: str, right: int) -> list[Group]:
    girth = body.build.girth
    shoulder, elbow, wrist, hand = (f"{side}_{n}" for n in ("shoulder", "elbow", "wrist", "hand"))
    upper = _limb(
        body, outfit, (shoulder, elbow), (0.036 * girth, 0.028 * girth), UPPER_ARM + right
    )
    fore = _limb(body, outfit, (elbow, wrist), (0.028 * girth, 0.02 * girth), FOREARM + right)
    palm = Shape(
        capsule(body.joints[wrist], body.joints[hand], 0.019 * body.height, 0.023 * body.height),
        darker(outfit.skin, 0.94),
        HAND + right,
    )
    near = 0.02 * body.height
    return [
        (_depth(body, shoulder, elbow) + near, upper),
        (_depth(body, elbow, wrist) + near, [*fore, palm] if outfit.sleeves < 2 else [palm, *fore]),
    ]


def _limb(
    body: Body, outfit: Outfit, ends: tuple[str, str], radii: tuple[float, float], part: int
) -> list[Shape]:
    """Return a limb's skin and over it the cloth that reaches down to it."""
    leg = part >= THIGH
    lower = part in {FOREARM, FOREARM + 1, SHIN, SHIN + 1}
    length, cloth = (outfit.legs, outfit.trousers) if leg else (outfit.sleeves, outfit.shirt)
    share = length - 1 if lower else length
    shapes: list[Shape] = []
    if share < 1:
        shapes += _tube(body, _covered(body, *ends, 1.0), radii, outfit.skin, part)
    if share > 0:
        end = radii[0] + min(share, 1.0) * (radii[1] - radii[0])
        loose = (radii[0] * 1.1, end * 1.16)
        shapes += _tube(body, _covered(body, *ends, share), loose, cloth, part)
    return shapes


def _leg(body: Body, outfit: Outfit, side: str, right: int) -> list[Group]:
    girth = body.build.girth
    hip, knee, ankle, toe = (f"{side}_{n}" for n in ("hip", "knee", "ankle", "toe"))
    thigh = _limb(body, outfit, (hip, knee), (0.058 * girth, 0.042 * girth), THIGH + right)
    shin = _limb(body, outfit, (knee, ankle), (0.041 * girth, 0.027 * girth), SHIN + right)
    heel, tip = body.joints[ankle], body.joints[toe]
    sole = heel + 0.25 * (tip - heel) + (0, 0.012 * body.height, 0)
    shoe = _tube(body, (sole, tip), (0.031, 0.026), outfit.shoes, FOOT + right)
    back = -0.02 * body.height
    toe_first = tip[2] < heel[2]
    return [
        (_depth(body, hip, knee) + back, thigh),
        (_depth(body, knee, ankle) + back, [*shoe, *shin] if toe_first else [*shin, *shoe]),
    ]


def _torso(body: Body, outfit: Outfit) -> Iterator[Shape]:
    joints, build, size = body.joints, body.build, body.height
    middle = 0.45 * joints["neck"] + 0.55 * joints["pelvis"]
    chest = 0.75 * joints["neck"] + 0.25 * joints["pelvis"]
    yield Shape(
        capsule(joints["neck"] + (0, 0.02 * size, 0), joints["head"], 0.036 * size, 0.034 * size),
        darker(outfit.skin, 0.8),
        TORSO,
    )
    if outfit.skirt:
        yield from _skirt(body, outfit)
    seat = [disc(joints[f"{side}_hip"], 0.058 * build.girth * size) for side in ("left", "right")]
    yield Shape(hull(np.concatenate(seat)), darker(outfit.trousers, 0.82), TORSO)
    hem = [0.8 * joints[f"{side}_hip"] + 0.2 * middle for side in ("left", "right")]
    rounds = [
        *(disc(joints[f"{s}_shoulder"], 0.038 * build.girth * size) for s in ("left", "right")),
        disc(chest, 0.084 * build.girth * size), disc(middle, 0.076 * build.girth * size),
        *(disc(corner, 0.052 * build.girth * size) for corner in hem),
    ]  # fmt: skip
    outline = hull(np.concatenate(rounds))
    yield Shape(outline, darker(outfit.shirt, 0.8), TORSO)
    centre = outline.mean(axis=0)
    yield Shape(centre + 0.8 * (outline - centre) + (-0.014 * size, -0.008 * size), outfit.shirt)
    yield from shirt_details(body, outfit)


def _skirt(body: Body, outfit: Outfit) -> Iterator[Shape]:
    rounds = [disc(body.joints[f"{side}_hip"], 0.06 * body.height) for side in ("left", "right")]
    for side in ("left", "right"):
        hip, knee = body.joints[f"{side}_hip"], body.joints[f"{side}_knee"]
        rounds.append(disc(hip + 0.85 * (knee - hip), 0.07 * body.height))
    yield Shape(hull(np.concatenate(rounds)), darker(outfit.trousers, 0.95), TORSO)
