"""Posed bodies: the joints of a pose, projected into the picture.

A body has its own frame, left, up and forward in body heights; the camera transforms that into
x (right), y (down) and z (towards the viewer) in pixels. From the front, left is at the right.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import PERSON_KEYPOINTS
from datastill.synthetic.drawing.poses import LEFT_ARM, LEFT_LEG, RIGHT_ARM, RIGHT_LEG, Pose
from datastill.synthetic.drawing.raster import Size

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
SIDES = ("left", "right")
_LEFT, _UP, _FORWARD = range(3)  # the axes of the body


@dataclass(frozen=True)
class Build:
    """Proportions of a body: factors around 1."""

    girth: float
    shoulders: float
    hips: float
    head: float
    legs: float


@dataclass(frozen=True)
class Placement:
    """A person's position and the direction from which they are seen.

    x, ground  pixels: the middle of the body, the floor below its lowest foot
    height     pixels: of the body when upright
    yaw        radians: 0 facing the viewer, pi seen from behind, pi/2 facing the image's right
    pitch      radians: downward tilt of the camera
    """

    x: float
    ground: float
    height: float
    yaw: float
    pitch: float


@dataclass(frozen=True)
class Body:
    """A posed body in the camera's frame.

    joints  name -> (3,) x, y, z in pixels: the COCO keypoints, and `head neck pelvis left_hand
            right_hand left_toe right_toe`
    trunk   (3, 3) rows left, up and forward of the chest as unit vectors of the camera's frame
    skull   (3, 3) the same of the head
    """

    joints: dict[str, Vector]
    trunk: Matrix
    skull: Matrix
    build: Build
    height: float

    def keypoints_inside(self, size: Size) -> int:
        """Return how many keypoints fall into a picture of `size`, hidden or not."""
        points = np.array([self.joints[name][:2] for name in PERSON_KEYPOINTS])
        return int(((points >= 0) & (points < size)).all(axis=1).sum())


def random_build(rng: np.random.Generator) -> Build:
    """Sample an adult's build or, sometimes, a child's."""
    girth, shoulders, hips, head, legs = 1 + rng.normal(0, 1, 5) * (0.15, 0.09, 0.12, 0.06, 0.05)
    if rng.random() < 0.15:
        head, legs, shoulders = head * 1.35, legs * 0.9, shoulders * 0.95
    return Build(max(girth, 0.75), shoulders, hips, head, legs)


def pose_body(pose: Pose, build: Build, placement: Placement) -> Body:
    """Return the body of `build` in `pose` at `placement`."""
    lean, tilt, twist, nod, turn = np.radians(pose[:5])
    bones = _turn(tilt, _UP, _LEFT) @ _turn(lean, _UP, _FORWARD)
    chest = bones @ _turn(twist, _FORWARD, _LEFT)
    skull = chest @ _turn(turn - twist / 2, _FORWARD, _LEFT) @ _turn(nod, _UP, _FORWARD)
    joints = _trunk_joints(build, bones, chest) | _legs(pose, build)
    joints |= _arms(pose, joints, chest) | _head(joints["neck"], skull, build)
    cos, sin = np.cos(placement.pitch), np.sin(placement.pitch)
    pitched = np.array([[1, 0, 0], [0, -cos, sin], [0, sin, cos]])
    camera = pitched @ _turn(placement.yaw, _FORWARD, _LEFT)
    points = np.array(list(joints.values())) @ camera.T * placement.height
    lowest = max(points[i][1] for i, name in enumerate(joints) if name.endswith("_ankle"))
    down = placement.ground - lowest - (0.05 + float(pose[5])) * placement.height
    joints = dict(zip(joints, points + np.array([placement.x, down, 0]), strict=True))
    return Body(joints, (camera @ chest).T, (camera @ skull).T, build, placement.height)


def _turn(angle: float, start: int, end: int) -> Matrix:
    """Return the rotation that turns the axis `start` towards the axis `end`."""
    matrix = np.eye(3)
    matrix[start, start] = matrix[end, end] = np.cos(angle)
    matrix[end, start], matrix[start, end] = np.sin(angle), -np.sin(angle)
    return matrix


def _trunk_joints(build: Build, bones: Matrix, chest: Matrix) -> dict[str, Vector]:
    hip, shoulder = 0.062 * build.hips, 0.108 * build.shoulders
    neck = bones @ np.array([0, 0.315, 0])
    return {
        "pelvis": np.zeros(3),
        "left_hip": np.array([hip, -0.01, 0]),
        "right_hip": np.array([-hip, -0.01, 0]),
        "neck": neck,
        "left_shoulder": neck + chest @ np.array([shoulder, -0.025, 0]),
        "right_shoulder": neck + chest @ np.array([-shoulder, -0.025, 0]),
    }


def _limb(angles: Vector, side: int, hinge: int) -> tuple[Vector, Vector]:
    """Return unit vectors along the upper and the lower limb.

    `side` is 1 for left, -1 for right; `hinge` 1 bends forward (elbow), -1 backward (knee).
    """
    swing, sideways, bend, turn = np.radians(angles)
    out, along = np.sin(sideways), np.cos(sideways)
    upper = np.array([side * out, -along * np.cos(swing), along * np.sin(swing)])
    forward = np.array([0, np.sin(swing), np.cos(swing)])
    inward = np.array([-side * along, -out * np.cos(swing), out * np.sin(swing)])
    towards = hinge * (np.cos(turn) * forward + np.sin(turn) * inward)
    return upper, np.cos(bend) * upper + np.sin(bend) * towards


def _arms(pose: Pose, joints: dict[str, Vector], chest: Matrix) -> dict[str, Vector]:
    arms: dict[str, Vector] = {}
    for name, side, angles in (("left", 1, pose[LEFT_ARM]), ("right", -1, pose[RIGHT_ARM])):
        upper, lower = _limb(angles, side, 1)
        elbow = joints[f"{name}_shoulder"] + chest @ (0.172 * upper)
        wrist = elbow + chest @ (0.15 * lower)
        hand = wrist + chest @ (0.05 * lower)
        arms |= {f"{name}_elbow": elbow, f"{name}_wrist": wrist, f"{name}_hand": hand}
    return arms


def _legs(pose: Pose, build: Build) -> dict[str, Vector]:
    legs: dict[str, Vector] = {}
    for name, side, angles in (("left", 1, pose[LEFT_LEG]), ("right", -1, pose[RIGHT_LEG])):
        upper, lower = _limb(angles, side, -1)
        hip = np.array([side * 0.062 * build.hips, -0.01, 0])
        knee = hip + 0.24 * build.legs * upper
        ankle = knee + 0.23 * build.legs * lower
        # The foot is at a right angle to the shin, in the plane in which the knee bends.
        ahead = np.array([0.25 * side, lower[2], -lower[1]])
        toe = ankle + 0.085 * ahead + 0.03 * lower
        legs |= {f"{name}_knee": knee, f"{name}_ankle": ankle, f"{name}_toe": toe}
    return legs


def _head(neck: Vector, skull: Matrix, build: Build) -> dict[str, Vector]:
    size = build.head
    centre = neck + skull @ np.array([0, 0.052 + 0.06 * size, 0.012])
    offsets = {
        "head": (0, 0, 0), "nose": (0, -0.012, 0.07),
        "left_eye": (0.026, 0.012, 0.056), "right_eye": (-0.026, 0.012, 0.056),
        "left_ear": (0.058, 0, 0), "right_ear": (-0.058, 0, 0),
    }  # fmt: skip
    return {name: centre + skull @ (size * np.array(xyz)) for name, xyz in offsets.items()}
