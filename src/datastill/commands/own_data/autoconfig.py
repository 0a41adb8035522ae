"""Which scale and how many iterations suit somebody's own data? From their images and boxes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Coco
from datastill.coco.subsets import trainable
from datastill.model.backbones import backbone_spec

PAPER_EPOCHS = 130_000 * 16 / 118_287  # of co-115, batch 16
PAPER_STUDENT = 360 / 130  # iterations of a student by those of its teacher
PAPER_ENLARGES = 800 / 480  # the test scale by the short side of most images of COCO
PAPER_LONG = 1333 / 800
PAPER_TRAINS = 640 / 800
PAPER_VIEWS = tuple(side / 800 for side in range(400, 1201, 100))
_STEP = 8  # pixels: all views have whole sides


@dataclass(frozen=True)
class Hardware:
    """How a detector is trained on a kind of machine.

    sides       least and most of the plain short side, in pixels
    iterations  least and most of a supervised row
    """

    backbone: str
    sides: tuple[int, int]
    iterations: tuple[int, int]
    base_lr: float
    warmup: int
    micro_batch_size: int
    views_batch: int
    processes: int | str
    workers: int


CPU = Hardware("small", (96, 256), (200, 1_500), 0.06, 25, 16, 16, 1, 0)
GPU = Hardware("resnet50", (320, 800), (1_000, 130_000), 0.02, 500, 2, 8, "auto", 4)
BATCH = 16  # paper


@dataclass(frozen=True)
class Statistics:
    """What the choices are made from.

    short_side  median of the images, in pixels
    box         median side of a box (root of its area), by the short side of its image
    boxes       its 10th and 90th percentile
    images      that a supervised row learns from
    """

    short_side: float
    box: float
    boxes: tuple[float, float]
    images: int


@dataclass(frozen=True)
class Choices:
    """Pixels and iterations, and how they came about."""

    hardware: Hardware
    plain_side: int
    iterations: int
    student_iterations: int
    why_side: str
    why_iterations: str

    def side(self, proportion: float) -> int:
        """Return a side in the paper's `proportion` to its plain one."""
        return round(self.plain_side * proportion)


def statistics(coco: Coco, task: str) -> Statistics:
    """Return the statistics of a labelled set: of those images and instances that `task` learns."""
    learnt = trainable(coco, task)
    short = {image["id"]: min(image["width"], image["height"]) for image in learnt.images}
    sides = np.array([
        math.sqrt(a["bbox"][2] * a["bbox"][3]) / short[a["image_id"]]
        for a in learnt.annotations
        if not a["iscrowd"] and (task == "boxes" or a["num_keypoints"])
    ])  # fmt: skip
    low, middle, high = _percentiles(sides)
    return Statistics(float(np.median([*short.values()])), middle, (low, high), len(learnt.images))


def _percentiles(sides: NDArray[np.float64]) -> tuple[float, float, float]:
    low, middle, high = np.percentile(sides if len(sides) else [1.0], (10, 50, 90))
    return float(low), float(middle), float(high)


def choose(known: Statistics, hardware: Hardware, task: str) -> Choices:
    """Return the scale at which boxes suit the backbone's anchors, and the paper's epochs."""
    anchors = backbone_spec(hardware.backbone, int(task == "keypoints")).anchor_sizes
    side, why_side = _plain_side(known, hardware, anchors)
    iterations, why = _iterations(known, hardware)
    return Choices(hardware, side, iterations, round(iterations * PAPER_STUDENT), why_side, why)


def _plain_side(known: Statistics, hardware: Hardware, anchors: tuple[int, ...]) -> tuple[int, str]:
    middle = math.exp(np.log(anchors).mean())
    least, most = hardware.sides
    enlarged = PAPER_ENLARGES * known.short_side
    wished = middle / known.box
    side = max(_STEP, _STEP * round(min(max(wished, least), most, enlarged) / _STEP))
    low, high = (side * each for each in known.boxes)
    why = (
        f"boxes are {known.box * side:.0f} pixels there ({low:.0f} to {high:.0f}), anchors "
        f"{anchors[0]} to {anchors[-1]}"
    )
    if enlarged < min(max(wished, least), most):
        return side, f"{why}; images are enlarged no more than the paper's"
    if not least <= wished <= most:
        return side, f"{why}; {hardware.backbone} works at {least} to {most}"
    return side, why


def _iterations(known: Statistics, hardware: Hardware) -> tuple[int, str]:
    wished = round(PAPER_EPOCHS * known.images / BATCH)
    least, most = hardware.iterations
    iterations = min(max(wished, least), most)
    epochs = iterations * BATCH / known.images
    why = f"{epochs:.1f} epochs of {known.images:,} images"
    if iterations == wished:
        return iterations, f"{why}, as in the paper"
    bound = f"at least {least:,}" if iterations > wished else f"at most {most:,} here"
    return iterations, f"{why}; paper: {PAPER_EPOCHS:.1f}, {bound}"
