"""The polygons of a clothed body, from the farthest to the nearest."""

from collections.abc import Iterator

import numpy as np

from datastill.synthetic.drawing.bodies import SIDES, Body
from datastill.synthetic.drawing.colours import Colour, darker
from datastill.synthetic.drawing.heads import HEAD, head_polygons, long_hair
from datastill.synthetic.drawing.outfits import Outfit
from datastill.synthetic.drawing.outlines import Points, capsule, disc, hull, lit_capsule
from datastill.synthetic.drawing.raster import Polygon
from datastill.synthetic.drawing.textures import shirt_details

# The stencil's body parts: a keypoint is visible where one of its own parts is on top.
TORSO = 2
UPPER_ARM, FOREARM, HAND, THIGH, SHIN, FOOT = 3, 5, 7, 9, 11, 13  # left; right is one more
PARTS = 16
_LIMB_PARTS = {
    "shoulder": (UPPER_ARM,), "elbow": (UPPER_ARM, FOREARM), "wrist": (FOREARM, HAND),
    "hip": (THIGH,), "knee": (THIGH, SHIN), "ankle": (SHIN, FOOT),
}  # fmt: skip

Group = tuple[float, list[Polygon]]  # the depth that it is painted at


def clothed_body(body: Body, outfit: Outfit) -> list[Polygon]:
    """Return the polygons of `body` in `outfit`, the farthest first."""
    head = float(body.joints["head"][2])
    # Long hair is behind the head and the chest from the front, before both from behind.
    hair = head + (0.06 if body.skull[2][2] < 0 else -0.1) * body.height
    groups: list[Group] = [
        (_depth(body, "pelvis", "neck"), list(_torso(body, outfit))),
        (head + 0.05 * body.height, head_polygons(body, outfit)),
        (hair, long_hair(body, outfit)),
    ]
    for right, side in enumerate(SIDES):
        groups += _arm(body, outfit, side, right) + _leg(body, outfit, side, right)
    groups.sort(key=lambda group: group[0])
    return [polygon for _, polygons in groups for polygon in polygons]


def keypoint_parts(name: str) -> list[int]:
    """Return the body parts that the keypoint `name` is on."""
    side, _, joint = name.partition("_")
    if joint not in _LIMB_PARTS:
        return [HEAD]
    parts = [part + (side == "right") for part in _LIMB_PARTS[joint]]
    return [*parts, TORSO] if joint in ("shoulder", "hip") else parts


def _depth(body: Body, *names: str) -> float:
    return sum(float(body.joints[name][2]) for name in names) / len(names)


def _tube(
    body: Body, ends: tuple[Points, Points], radii: tuple[float, float], colour: Colour, part: int
) -> list[Polygon]:
    """Return a lit tapered limb between `ends`; radii in body heights."""
    outline, light = lit_capsule(*ends, radii[0] * body.height, radii[1] * body.height)
    return [Polygon(outline, darker(colour, 0.76), part), Polygon(light, colour)]


def _limb(
    body: Body, outfit: Outfit, ends: tuple[str, str], radii: tuple[float, float], part: int
) -> list[Polygon]:
    """Return a limb's skin and over it the cloth that reaches down to it."""
    leg = part >= THIGH
    lower = part in {FOREARM, FOREARM + 1, SHIN, SHIN + 1}
    length, cloth = (outfit.legs, outfit.trousers) if leg else (outfit.sleeves, outfit.shirt)
    share = length - 1 if lower else length
    first, last = (body.joints[name] for name in ends)
    polygons: list[Polygon] = []
    if share < 1:
        polygons += _tube(body, (first, first + 1.0 * (last - first)), radii, outfit.skin, part)
    if share > 0:
        covered = min(share, 1.0)
        loose = (radii[0] * 1.1, (radii[0] + covered * (radii[1] - radii[0])) * 1.16)
        polygons += _tube(body, (first, first + covered * (last - first)), loose, cloth, part)
    return polygons


def _arm(body: Body, outfit: Outfit, side: str, right: int) -> list[Group]:
    girth = body.build.girth
    shoulder, elbow, wrist, hand = (f"{side}_{n}" for n in ("shoulder", "elbow", "wrist", "hand"))
    upper = _limb(
        body, outfit, (shoulder, elbow), (0.036 * girth, 0.028 * girth), UPPER_ARM + right
    )
    fore = _limb(body, outfit, (elbow, wrist), (0.028 * girth, 0.02 * girth), FOREARM + right)
    palm = Polygon(
        capsule(body.joints[wrist], body.joints[hand], 0.019 * body.height, 0.023 * body.height),
        darker(outfit.skin, 0.94),
        HAND + right,
    )
    near = 0.02 * body.height
    return [
        (_depth(body, shoulder, elbow) + near, upper),
        (_depth(body, elbow, wrist) + near, [*fore, palm] if outfit.sleeves < 2 else [palm, *fore]),
    ]


def _leg(body: Body, outfit: Outfit, side: str, right: int) -> list[Group]:
    girth = body.build.girth
    hip, knee, ankle, toe = (f"{side}_{n}" for n in ("hip", "knee", "ankle", "toe"))
    thigh = _limb(body, outfit, (hip, knee), (0.058 * girth, 0.042 * girth), THIGH + right)
    shin = _limb(body, outfit, (knee, ankle), (0.041 * girth, 0.027 * girth), SHIN + right)
    heel, tip = body.joints[ankle], body.joints[toe]
    sole = heel + 0.25 * (tip - heel) + (0, 0.012 * body.height, 0)
    shoe = _tube(body, (sole, tip), (0.031, 0.026), outfit.shoes, FOOT + right)
    back = -0.02 * body.height
    return [
        (_depth(body, hip, knee) + back, thigh),
        (_depth(body, knee, ankle) + back, [*shoe, *shin] if tip[2] < heel[2] else [*shin, *shoe]),
    ]


def _torso(body: Body, outfit: Outfit) -> Iterator[Polygon]:
    joints, girth, size = body.joints, body.build.girth, body.height
    middle = 0.45 * joints["neck"] + 0.55 * joints["pelvis"]
    chest = 0.75 * joints["neck"] + 0.25 * joints["pelvis"]
    yield Polygon(
        capsule(joints["neck"] + (0, 0.02 * size, 0), joints["head"], 0.036 * size, 0.034 * size),
        darker(outfit.skin, 0.8),
        TORSO,
    )
    if outfit.skirt:
        skirt = [disc(joints[f"{side}_hip"], 0.06 * size) for side in SIDES]
        for side in SIDES:
            hip, knee = joints[f"{side}_hip"], joints[f"{side}_knee"]
            skirt.append(disc(hip + 0.85 * (knee - hip), 0.07 * size))
        yield Polygon(hull(np.concatenate(skirt)), darker(outfit.trousers, 0.95), TORSO)
    seat = [disc(joints[f"{side}_hip"], 0.058 * girth * size) for side in SIDES]
    yield Polygon(hull(np.concatenate(seat)), darker(outfit.trousers, 0.82), TORSO)
    hem = [0.8 * joints[f"{side}_hip"] + 0.2 * middle for side in SIDES]
    discs = [
        *(disc(joints[f"{side}_shoulder"], 0.038 * girth * size) for side in SIDES),
        disc(chest, 0.084 * girth * size), disc(middle, 0.076 * girth * size),
        *(disc(corner, 0.052 * girth * size) for corner in hem),
    ]  # fmt: skip
    outline = hull(np.concatenate(discs))
    yield Polygon(outline, darker(outfit.shirt, 0.8), TORSO)
    centre = outline.mean(axis=0)
    yield Polygon(centre + 0.8 * (outline - centre) + (-0.014 * size, -0.008 * size), outfit.shirt)
    yield from shirt_details(body, outfit)
