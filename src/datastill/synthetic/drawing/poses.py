"""Poses of drawn people as angles, and motions as poses over time.

A pose is a vector of 22 numbers, angles in degrees:
trunk     lean (forward), tilt, twist, nod and turn of the head, lift (off the ground, body heights)
limbs     left arm, right arm, left leg, right leg; each swing (forward), abduction (sideways),
          bend (of elbow or knee), turn (of the forearm: 0 bends forward, 90 towards the body)
A motion is (k, 22): key poses at equal intervals, k = 1 for a person who keeps still.
"""

import numpy as np
from numpy.typing import NDArray

Pose = NDArray[np.float64]
Motion = NDArray[np.float64]
Angles = tuple[float, ...]

TRUNK, LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG = (
    slice(0, 6), slice(6, 10), slice(10, 14), slice(14, 18), slice(18, 22),
)  # fmt: skip
_MIRROR = np.array([0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 6, 7, 8, 9, 18, 19, 20, 21, 14, 15, 16, 17])
_MIRROR_SIGN = np.array([1, -1, -1, 1, -1, 1] + [1] * 16)
_JITTER = np.array([4, 4, 7, 7, 14, 0] + [13, 7, 14, 18] * 2 + [7, 3, 7, 3] * 2, dtype=float)

ARMS: dict[str, Angles] = {
    "hang": (2, 8, 12, 20),
    "loose": (-12, 12, 28, 10),
    "forward": (45, 8, 45, 10),
    "carry": (22, 8, 88, 40),
    "on hip": (-18, 48, 92, 72),
    "crossed": (32, 12, 98, 75),
    "phone": (35, 22, 138, 8),
    "wave": (10, 98, 78, -88),
    "point": (85, 12, 8, 0),
    "reach up": (155, 14, 18, 0),
    "aside": (5, 68, 22, -20),
    "pocket": (-16, 20, 46, 45),
}
LEGS: dict[str, tuple[Angles, Angles]] = {
    "stand": ((1, 4, 3, 0), (-1, 4, 3, 0)),
    "rest": ((0, 3, 1, 0), (10, 11, 20, 0)),
    "apart": ((2, 14, 3, 0), (-2, 14, 3, 0)),
    "stroll": ((20, 3, 5, 0), (-16, 3, 14, 0)),
    "walk": ((32, 3, 10, 0), (-22, 3, 30, 0)),
    "step": ((62, 5, 72, 0), (-4, 4, 6, 0)),
    "sit": ((82, 9, 84, 0), (84, 9, 80, 0)),
    "crouch": ((88, 14, 122, 0), (64, 14, 112, 0)),
}
LEG_SHARES = (0.26, 0.18, 0.18, 0.18, 0.12, 0.04, 0.04, 0.0)

# Whole-body key poses: trunk, left arm, right arm, left leg, right leg.
_SPORTS: dict[str, list[list[float]]] = {
    "run": [
        [14, 0, 10, 0, 0, 0.04,  48, 8, 95, 25,  -52, 12, 80, 15,  -32, 3, 45, 0,  58, 3, 62, 0],
        [14, 0, -10, 0, 0, 0.04,  -52, 12, 80, 15,  48, 8, 95, 25,  58, 3, 62, 0,  -32, 3, 45, 0],
    ],
    "kick": [
        [6, 8, -15, 12, 0, 0,  30, 62, 25, 0,  -35, 55, 20, 0,  8, 6, 16, 0,  -48, 8, 85, 0],
        [-4, 6, 5, 15, 0, 0,  10, 70, 20, 0,  -10, 65, 25, 0,  0, 8, 14, 0,  30, 8, 22, 0],
        [-18, 4, 18, 8, 0, 0.02,  -20, 66, 22, 0,  30, 60, 25, 0,  -10, 6, 8, 0,  92, 8, 4, 0],
    ],
    "throw": [
        [-10, -8, -25, -5, 0, 0, 70, 30, 15, 0,  -25, 92, 100, -85,  28, 14, 18, 0, -16, 10, 22, 0],
        [4, 4, 5, 0, 0, 0,  30, 35, 60, 20,  120, 35, 60, 0,  26, 12, 26, 0,  -24, 10, 24, 0],
        [28, 10, 28, 0, 0, 0,  -30, 30, 50, 10,  58, 10, 12, 0,  32, 10, 38, 0,  -34, 8, 34, 0],
    ],
    "jump": [
        [28, 0, 0, -12, 0, 0,  -42, 14, 20, 0,  -42, 14, 20, 0,  62, 8, 85, 0,  62, 8, 85, 0],
        [6, 0, 0, -18, 0, 0.1,  120, 18, 25, 0,  150, 18, 20, 0,  8, 7, 22, 0,  18, 7, 48, 0],
        [2, 0, 0, -22, 0, 0.24,  152, 14, 12, 0,  168, 12, 8, 0,  -10, 8, 60, 0,  22, 9, 80, 0],
    ],
    "cheer": [
        [-2, 0, 0, -8, 0, 0,  150, 30, 30, 0,  150, 30, 30, 0,  4, 16, 8, 0,  -4, 16, 8, 0],
        [-6, 0, 0, -15, 0, 0.08,  165, 36, 12, 0,  165, 36, 12, 0,  10, 20, 30, 0,  -12, 20, 40, 0],
    ],
    "lunge": [
        [18, 6, 0, 0, 0, 0,  40, 45, 40, 0,  20, 50, 50, 0,  30, 24, 42, 0,  12, 26, 30, 0],
        [30, 22, 10, -8, 0, 0,  78, 52, 10, 0,  -20, 58, 30, 0,  52, 36, 72, 0,  -8, 40, 8, 0],
    ],
    "swing": [
        [14, 0, -38, 0, 25, 0,  40, 20, 70, 60,  20, 35, 105, 50,  16, 14, 22, 0,  10, 16, 26, 0],
        [14, 0, 34, 0, -20, 0,  60, 35, 20, 20,  75, 8, 15, 45,  12, 15, 20, 0,  6, 14, 34, 0],
    ],
    "defend": [
        [26, 0, 0, -14, 0, 0,  38, 52, 55, -35,  38, 52, 55, -35,  46, 22, 62, 0,  46, 22, 62, 0],
        [22, 8, 0, -12, 0, 0.02,  60, 62, 30, -35,  28, 72, 35, -50,  40, 30, 50, 0, 34, 18, 55, 0],
    ],
}  # fmt: skip


def everyday_motion(rng: np.random.Generator) -> Motion:
    """Sample a person of COCO: one in five caught in the movement of a sport, the others still."""
    if rng.random() < 0.2:
        return pose_at(_movement(rng), rng.random())[None]
    return _random_still(rng)


def sport_motion(rng: np.random.Generator) -> Motion:
    """Sample a player: half of them are still, the others move as in one of the sports."""
    return _random_still(rng) if rng.random() < 0.5 else _movement(rng)


def _random_still(rng: np.random.Generator) -> Motion:
    """Sample one still pose: standing, walking, sitting, crouching or bending."""
    legs = str(rng.choice(list(LEGS), p=LEG_SHARES))
    left_arm, right_arm = map(str, rng.choice(list(ARMS), size=2))
    if rng.random() < 0.35:
        right_arm = left_arm
    elif rng.random() < 0.4:
        right_arm = "hang"
    pose = _still_pose(legs, left_arm, right_arm, rng)
    if rng.random() < 0.03:  # bend down, the arms kept near where gravity pulls them
        pose[0] = lean = rng.uniform(28, 75)
        pose[3] -= lean / 3
        pose[[LEFT_ARM.start, RIGHT_ARM.start]] += 0.8 * lean
    return _mirrored_or_not(_jittered(pose[None], rng), rng)


def still_motion(legs: str, left_arm: str, right_arm: str, rng: np.random.Generator) -> Motion:
    """Sample a still pose of these keys of LEGS and ARMS."""
    return _jittered(_still_pose(legs, left_arm, right_arm, rng)[None], rng)


def _still_pose(legs: str, left_arm: str, right_arm: str, rng: np.random.Generator) -> Pose:
    """Return the pose of these limbs, with a random direction of the head."""
    pose = np.zeros(22)
    pose[LEFT_LEG], pose[RIGHT_LEG] = LEGS[legs]
    pose[LEFT_ARM], pose[RIGHT_ARM] = ARMS[left_arm], ARMS[right_arm]
    pose[TRUNK] = (rng.normal(3, 5), 0, 0, rng.normal(3, 9), rng.normal(0, 18), 0)
    return pose


def _movement(rng: np.random.Generator) -> Motion:
    """Sample a movement of a sport as its key poses."""
    names = list(_SPORTS)
    motion = np.array(_SPORTS[names[rng.integers(len(names))]], dtype=float)
    return _mirrored_or_not(_jittered(motion, rng), rng)


def pose_at(motion: Motion, time: float) -> Pose:
    """Return the pose at `time`, 0 at the first and 1 at the last key pose."""
    position = min(max(time, 0.0), 1.0) * (len(motion) - 1)
    before = int(position)
    after = min(before + 1, len(motion) - 1)
    return motion[before] + (position - before) * (motion[after] - motion[before])


def _jittered(motion: Motion, rng: np.random.Generator) -> Motion:
    varied = motion + rng.normal(0, 1, 22) * _JITTER
    for limb in (LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG):
        bend = limb.start + 2
        varied[:, bend] = np.clip(varied[:, bend], 1, 145)
    return varied


def _mirrored_or_not(motion: Motion, rng: np.random.Generator) -> Motion:
    return motion[:, _MIRROR] * _MIRROR_SIGN if rng.random() < 0.5 else motion
