"""Drawn image sets under the paper's names (section 5.1): figures, numbered and put on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2

from datastill.coco.format import PERSON, Coco, Record
from datastill.images.pools import Processes
from datastill.synthetic.box_scenes import CATEGORIES, draw_household
from datastill.synthetic.keypoint_scenes import Drawing, draw

_IDS = 1_000_000  # ids of one set: more than any set has images or annotations
_JPEG_QUALITY = 92
HOUSEHOLD = "household"  # the style with things beside people; the others have people's keypoints


@dataclass(frozen=True)
class DrawnSet:
    """A set of drawn images; `number` keeps its ids apart from those of the other sets."""

    number: int
    name: str
    images: int
    style: str


@dataclass(frozen=True)
class Studio:
    """Where and how sets are drawn: `size` is (width, height) of every image in pixels."""

    root: Path
    size: tuple[int, int]
    seed: int


def draw_set(drawn: DrawnSet, studio: Studio, advance: Callable[[int], None]) -> Coco:
    """Draw all images of a set below `studio.root`; the result is independent of the workers.

    `advance` hears of every image.
    """
    (studio.root / drawn.name).mkdir(parents=True, exist_ok=True)
    images: list[Record] = []
    annotations: list[Record] = []
    cv2.setNumThreads(1)  # the pool uses every core, and OpenCV's own threads survive no fork
    with Processes(os.cpu_count()) as pool:
        job = partial(_draw_image, drawn, studio)
        for image, objects in pool.map(job, range(drawn.images), chunksize=8):
            images.append(image)
            for one in objects:
                number = drawn.number * _IDS + len(annotations) + 1
                annotations.append({"id": number, "image_id": image["id"], **one})
            advance(1)
    return Coco(images, annotations, categories(drawn.style))


def categories(style: str) -> list[Record]:
    """Return the categories of what is annotated in a style of pictures."""
    return list(CATEGORIES) if style == HOUSEHOLD else [PERSON]


def _drawing(drawn: DrawnSet, studio: Studio, index: int) -> Drawing:
    if drawn.style == HOUSEHOLD:
        return draw_household(drawn.name, index, studio.seed, studio.size)
    return draw(drawn.name, index, studio.seed, drawn.style, studio.size)


def _draw_image(drawn: DrawnSet, studio: Studio, index: int) -> tuple[Record, list[Record]]:
    drawing = _drawing(drawn, studio, index)
    file_name = f"{drawn.name}/{index:06d}.jpg"
    pixels = cv2.cvtColor(drawing.image, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    (studio.root / file_name).write_bytes(content.tobytes())
    height, width = drawing.image.shape[:2]
    record = {
        "id": drawn.number * _IDS + index + 1,
        "file_name": file_name,
        "width": width,
        "height": height,
    }
    return record, drawing.annotations
