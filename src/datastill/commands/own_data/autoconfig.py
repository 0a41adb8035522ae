"""Image scale and training iterations that suit a labelled set and a kind of machine."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from datastill.coco.format import Coco, Task
from datastill.coco.subsets import trainable
from datastill.model.backbones import backbone_spec

BATCH = 16  # paper
PAPER_IMAGES = {"keypoints": 64_115, "boxes": 118_287}  # of co-115 that the task learns from


@dataclass(frozen=True)
class Hardware:
    """Training settings for a kind of machine.

    sides       minimum and maximum of the test scale's short side, in pixels
    iterations  minimum and maximum of a supervised row
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


CPU = Hardware("mobilenet_v2", (96, 256), (400, 1_500), 0.06, 25, 16, 16, 1, 0)
GPU = Hardware("resnet50", (320, 800), (1_000, 130_000), 0.02, 500, 2, 8, "auto", 4)


@dataclass(frozen=True)
class SetStats:
    """Summary statistics of a labelled set.

    short_side  median of its images, in pixels
    box_sides   10th, 50th and 90th percentile of the side of a box (root of its area), as a
                fraction of the short side of its image
    images      number of images to learn from
    """

    short_side: float
    box_sides: tuple[float, float, float]
    images: int


@dataclass(frozen=True)
class Choices:
    """The short side of the test scale in pixels, the iterations, and the reasons for both."""

    hardware: Hardware
    side: int
    iterations: int
    student_iterations: int
    why_side: str
    why_iterations: str

    @property
    def views(self) -> list[int]:
        """The short sides of the views: 400, 500, ... 1200 for the paper's test scale of 800."""
        return [round(self.side * (side / 800)) for side in range(400, 1201, 100)]

    def values(self) -> dict[str, Any]:
        """Return what the choices decide, by its name in the template of params.yaml."""
        return {
            "batch": BATCH,
            **asdict(self.hardware),
            "warmup": min(self.hardware.warmup, self.iterations // 4),
            "plain": self.side,
            "plain_long": round(self.side * (1333 / 800)),  # paper
            "train_low": round(self.side * (640 / 800)),  # paper
            "views_long": 5 * self.side,  # Detectron: 4000 for a test scale of 800
            "iterations": self.iterations,
            "why_iterations": self.why_iterations,
            "student": self.student_iterations,
        }


def measure(coco: Coco, task: Task) -> SetStats:
    """Return the statistics of the images and instances of a labelled set that `task` learns."""
    coco = trainable(coco, task)
    short = {image["id"]: min(image["width"], image["height"]) for image in coco.images}
    sides = [
        math.sqrt(a["bbox"][2] * a["bbox"][3]) / short[a["image_id"]]
        for a in coco.annotations
        if not a["iscrowd"] and (task == "boxes" or a["num_keypoints"])
    ]
    low, middle, high = map(float, np.percentile(sides or [1.0], (10, 50, 90)))
    return SetStats(float(np.median([*short.values()])), (low, middle, high), len(coco.images))


@dataclass(frozen=True)
class Wishes:
    """What a user decides instead; None leaves it to the data.

    iterations  of the teacher
    rounds      of annotating and retraining, each with the previous student as teacher
    """

    backbone: str | None = None
    iterations: int | None = None
    per_video: int = 10
    rounds: int = 1
    flip: bool = True
    quarter_turns: bool = False


NO_WISHES = Wishes()


def choose(
    stats: SetStats, hardware: Hardware, task: Task, wished_iterations: int | None = None
) -> Choices:
    """Return the scale at which boxes suit the backbone's anchors, and the paper's epochs unless
    other iterations are wished for. Raises ParamsError if the backbone is unknown.
    """
    anchors = backbone_spec(hardware.backbone, int(task == "keypoints")).anchor_sizes
    side, why_side = _side(stats, hardware, anchors)
    paper_epochs = 130_000 * BATCH / PAPER_IMAGES[task]
    ideal = round(paper_epochs * stats.images / BATCH)
    lowest, highest = hardware.iterations
    iterations = min(max(ideal, lowest), highest)
    bound = f"at least {lowest:,}" if iterations > ideal else f"at most {highest:,} here"
    paper = f"; paper: {paper_epochs:.1f}, {bound}" if iterations != ideal else ", as in the paper"
    if wished_iterations:
        iterations, paper = wished_iterations, "; chosen by you"
    why = f"{iterations * BATCH / stats.images:.1f} epochs of {stats.images:,} images{paper}"
    student = round(iterations * (360 / 130))  # paper
    return Choices(hardware, side, iterations, student, why_side, why)


def _side(stats: SetStats, hardware: Hardware, anchors: tuple[int, ...]) -> tuple[int, str]:
    lowest, highest = hardware.sides
    max_side = 800 / 480 * stats.short_side  # paper: COCO's 480 pixels become 800
    ideal = math.exp(np.log(anchors).mean()) / stats.box_sides[1]
    feasible = min(max(ideal, lowest), highest)
    side = 8 * max(1, round(min(feasible, max_side) / 8))  # whole numbers for all views
    low, middle, high = (side * each for each in stats.box_sides)
    why = (
        f"boxes then measure {middle:.0f} pixels ({low:.0f} to {high:.0f}), anchors "
        f"{anchors[0]} to {anchors[-1]}"
    )
    if max_side < feasible:
        why += "; images are enlarged no more than in the paper"
    elif feasible != ideal:
        why += f"; {hardware.backbone} works at {lowest} to {highest}"
    return side, why
