"""Drawn pictures of one person or object each, with class labels: the miniature's ImageNet.

A label gives the class, never the position: no box, no keypoint. A person has several labels, as
ImageNet distinguishes breeds of dogs.
"""

import os
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from datastill.images.pools import Processes
from datastill.synthetic.drawing.backgrounds import everyday_background
from datastill.synthetic.drawing.bodies import Placement, pose_body, random_build
from datastill.synthetic.drawing.camera import photograph
from datastill.synthetic.drawing.clothed_body import clothed_body
from datastill.synthetic.drawing.distractors import DISTRACTORS
from datastill.synthetic.drawing.outfits import HAIRDOS, PATTERNS, everyday_outfit
from datastill.synthetic.drawing.poses import ARMS, LEG_SHARES, LEGS, still_motion
from datastill.synthetic.drawing.raster import Image, paint
from datastill.synthetic.drawing.viewpoints import random_yaw, visible_side

QUESTIONS: dict[str, tuple[str, ...]] = {
    "what": (*DISTRACTORS, "person"),
    "seen from": ("front", "back", "left", "right"),
    "hair": HAIRDOS,
    "shirt": PATTERNS,
    "sleeves": ("short", "long"),
    "below": ("short", "long", "skirt"),
    "legs": tuple(LEGS),
    "left arm": tuple(ARMS),
    "right arm": tuple(ARMS),
}
UNASKED = -1  # the answer to a question about people if there are none
_PEOPLE = 0.8  # of all pictures
_CLOSE = 0.25  # of all people: their feet are out of the picture

Answers = NDArray[np.int64]


def draw_pictures(
    count: int, side: int, seed: int, advance: Callable[[int], None]
) -> tuple[NDArray[np.uint8], Answers]:
    """Draw (n, side, side, 3) RGB pictures and their (n, q) answers to QUESTIONS.

    An answer is an index or UNASKED. A picture depends only on its index and `seed`. `advance`
    is called with 1 after every picture.
    """
    cv2.setNumThreads(1)  # the pool uses every core, and OpenCV's own threads do not survive a fork
    pictures = np.empty((count, side, side, 3), np.uint8)
    answers = np.empty((count, len(QUESTIONS)), np.int64)
    with Processes(os.cpu_count()) as pool:
        drawn = pool.map(partial(draw_picture, side=side, seed=seed), range(count), chunksize=64)
        for index, (picture, answer) in enumerate(drawn):
            pictures[index], answers[index] = picture, answer
            advance(1)
    return pictures, answers


def draw_picture(index: int, side: int, seed: int) -> tuple[Image, Answers]:
    """Draw picture `index` (side, side, 3) and answer QUESTIONS about it."""
    rng = np.random.default_rng([seed, index])
    wide, high = round(side * 5 / 3), round(side * 5 / 4)
    background = everyday_background(rng, (wide, high))
    left, top = rng.integers(wide - side + 1), rng.integers(high - side + 1)
    image = np.ascontiguousarray(background[top : top + side, left : left + side])
    answers = np.full(len(QUESTIONS), UNASKED)
    if rng.random() < _PEOPLE:
        words = _paint_person(image, rng, side)
        answers[:] = [options.index(words[each]) for each, options in QUESTIONS.items()]
    else:
        answers[0] = rng.integers(len(DISTRACTORS))
        paint(image, DISTRACTORS[QUESTIONS["what"][answers[0]]](rng, (side, side)))
    return photograph(image, rng), answers


def _paint_person(image: Image, rng: np.random.Generator, side: int) -> dict[str, str]:
    """Paint a person and return the answers to all QUESTIONS in words."""
    outfit = everyday_outfit(rng)
    legs = str(rng.choice(list(LEGS), p=LEG_SHARES))
    left_arm, right_arm = map(str, rng.choice(list(ARMS), size=2))
    motion = still_motion(legs, left_arm, right_arm, rng)
    placement = _random_placement(rng, side)
    paint(image, clothed_body(pose_body(motion[0], random_build(rng), placement), outfit))
    return {
        "what": "person",
        "seen from": visible_side(placement.yaw),
        "hair": outfit.hairdo,
        "shirt": outfit.pattern,
        "sleeves": "long" if outfit.sleeves >= 1 else "short",
        "below": "skirt" if outfit.skirt else "long" if outfit.legs >= 1 else "short",
        "legs": legs,
        "left arm": left_arm,
        "right arm": right_arm,
    }


def _random_placement(rng: np.random.Generator, side: int) -> Placement:
    height = rng.uniform(0.52, 0.95) * side
    ground = rng.uniform(height, side)
    if rng.random() < _CLOSE:
        ground += rng.uniform(0.15, 0.5) * height
        height *= 1.3
    x = (0.5 + rng.normal(0, 0.08)) * side
    return Placement(x, ground, height, random_yaw(rng), rng.uniform(0, 0.3))
