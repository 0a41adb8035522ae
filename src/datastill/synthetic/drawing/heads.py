"""The head of a drawn person from any side: hair, face, ears and cap."""

from collections.abc import Iterator

import numpy as np

from datastill.synthetic.drawing.bodies import SIDES, Body
from datastill.synthetic.drawing.colours import Colour, darker
from datastill.synthetic.drawing.outfits import Outfit
from datastill.synthetic.drawing.outlines import Points, capsule, disc, hull
from datastill.synthetic.drawing.raster import Polygon

HEAD = 1  # the head's value in a stencil
_SIZE = np.array([0.058, 0.076, 0.066])  # half width, height and depth, in body heights


def _patch(low: tuple[float, float], high: tuple[float, float]) -> Points:
    """Return points (n, 3) of a unit ball between two (longitude, latitude), 0 being the face."""
    longitude, latitude = np.meshgrid(
        np.radians(np.linspace(low[0], high[0], 11)), np.radians(np.linspace(low[1], high[1], 7))
    )
    flat = np.cos(latitude)
    ball = np.stack([flat * np.sin(longitude), np.sin(latitude), flat * np.cos(longitude)], axis=-1)
    return ball.reshape(-1, 3)


_BALL = _patch((-180, -75), (165, 75))
_FACE = _patch((-72, -88), (72, 30))
_BARE_FACE = _patch((-85, -90), (85, 62))
_CAP = _patch((-180, 22), (180, 90))


def head_polygons(body: Body, outfit: Outfit) -> list[Polygon]:
    """Return the polygons of a head, the farthest first."""
    if outfit.hairdo == "bald":
        skull = _visible_patch(body, _BALL, darker(outfit.skin, 0.85), 1.0, HEAD)
    else:
        skull = _visible_patch(body, _BALL, darker(outfit.hair, 0.8), 1.06, HEAD)
        skull += _visible_patch(body, _BALL * 0.72 + (0, 0.24, 0), outfit.hair, 1.06)
    bun, face = _bun(body, outfit), list(_face(body, outfit))
    ears = list(_ears(body, outfit)) if outfit.hairdo != "long" else []
    cap = list(_cap(body, outfit)) if outfit.hairdo == "cap" else []
    if body.skull[2][2] < 0:  # seen from behind: the hair is nearest
        return [*skull, *ears, *face, *cap, *bun]
    return [*bun, *skull, *face, *ears, *cap]


def _visible_patch(
    body: Body, patch: Points, colour: Colour, swell: float, part: int | None = None
) -> list[Polygon]:
    """Return the visible outline of a patch of the skull, [] when it is turned away."""
    points = (patch * _SIZE * (swell * body.build.head * body.height)) @ body.skull
    visible = points[points[:, 2] > 0]
    if len(visible) < 3:
        return []
    return [Polygon(body.joints["head"][:2] + hull(visible[:, :2]), colour, part)]


def long_hair(body: Body, outfit: Outfit) -> list[Polygon]:
    """Return the hair that falls down the back, [] when it is not long."""
    if outfit.hairdo != "long":
        return []
    unit, head = body.build.head * body.height, body.joints["head"]
    top = head - 0.02 * unit * body.skull[2]
    end = head - 0.04 * unit * body.skull[2] + (0, 0.12 * unit, 0)
    return [Polygon(capsule(top, end, 0.066 * unit, 0.056 * unit), darker(outfit.hair, 0.72), HEAD)]


def _bun(body: Body, outfit: Outfit) -> list[Polygon]:
    if outfit.hairdo != "bun":
        return []
    unit = body.build.head * body.height
    knot = body.joints["head"] + unit * (0.05 * body.skull[1] - 0.07 * body.skull[2])
    return [Polygon(disc(knot, 0.03 * unit), darker(outfit.hair, 0.7), HEAD)]


def _face(body: Body, outfit: Outfit) -> Iterator[Polygon]:
    patch = _BARE_FACE if outfit.hairdo == "bald" else _FACE
    yield from _visible_patch(body, patch, outfit.skin, 1.01)
    size, joints = body.build.head * body.height, body.joints
    for side in SIDES:
        eye = joints[f"{side}_eye"]
        if (eye - joints["head"])[2] > 0.012 * size:
            yield Polygon(disc(eye, 0.0135 * size), (248, 246, 242))
            yield Polygon(disc(eye, 0.008 * size), (24, 20, 22))
    if (joints["nose"] - joints["head"])[2] > -0.012 * size:
        bridge = joints["nose"] + 0.024 * size * body.skull[1]
        nose = capsule(bridge, joints["nose"], 0.006 * size, 0.013 * size)
        yield Polygon(nose, darker(outfit.skin, 0.72))
    if body.skull[2][2] > 0.15:
        mouth = joints["head"] + size * (0.058 * body.skull[2] - 0.042 * body.skull[1])
        wide = 0.018 * size * body.skull[0]
        lips = capsule(mouth - wide, mouth + wide, 0.006 * size, 0.006 * size)
        yield Polygon(lips, (150, 52, 54))


def _ears(body: Body, outfit: Outfit) -> Iterator[Polygon]:
    size = body.build.head * body.height
    for side in SIDES:
        ear = body.joints[f"{side}_ear"]
        if (ear - body.joints["head"])[2] > -0.03 * size:
            yield Polygon(disc(ear, 0.0165 * size), darker(outfit.skin, 0.8), HEAD)


def _cap(body: Body, outfit: Outfit) -> Iterator[Polygon]:
    yield from _visible_patch(body, _CAP, outfit.accent, 1.12)
    if body.skull[2][2] > -0.3:
        size = body.build.head * body.height
        brim = body.joints["head"] + size * 0.034 * body.skull[1]
        tip = brim + size * 0.1 * body.skull[2]
        wide = 0.04 * size * body.skull[0]
        peak = np.array([brim - wide, brim + wide, tip + wide, tip - wide])[:, :2]
        yield Polygon(hull(peak), darker(outfit.accent, 0.7))
