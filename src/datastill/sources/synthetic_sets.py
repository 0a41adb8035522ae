"""Drawn image sets under the paper's names (section 5.1): scenes, numbered and written to disk."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2

from datastill.coco.format import PERSON, Coco, Record
from datastill.images.pools import Processes
from datastill.synthetic.box_scenes import CATEGORIES, draw_objects
from datastill.synthetic.keypoint_scenes import draw_people

_IDS = 1_000_000  # ids of one set: more than any set has images or annotations
_WITH_BOXES = "household"  # the style with objects besides people; the others have keypoints


@dataclass(frozen=True)
class DrawnSet:
    """A set of drawn images; `number` makes its ids differ from those of other sets.

    scenes, seed  decide the scenes: a set drawn anew has the scenes of another, from another seed
    """

    number: int
    name: str
    images: int
    style: str
    scenes: str
    seed: int


@dataclass(frozen=True)
class RenderSettings:
    """Settings shared by all sets: the folder, and (width, height) of an image in pixels."""

    root: Path
    size: tuple[int, int]


def draw_set(drawn: DrawnSet, settings: RenderSettings, advance: Callable[[int], None]) -> Coco:
    """Draw all images of a set below `settings.root`, the same with any number of workers."""
    (settings.root / drawn.name).mkdir(parents=True, exist_ok=True)
    images: list[Record] = []
    annotations: list[Record] = []
    cv2.setNumThreads(1)  # the pool uses every core, and OpenCV's own threads do not survive a fork
    with Processes(os.cpu_count()) as pool:
        draw = partial(_draw_one, drawn, settings)
        for image, records in pool.map(draw, range(drawn.images), chunksize=8):
            images.append(image)
            for record in records:
                number = drawn.number * _IDS + len(annotations) + 1
                annotations.append({"id": number, "image_id": image["id"], **record})
            advance(1)
    categories = list(CATEGORIES) if drawn.style == _WITH_BOXES else [PERSON]
    return Coco(images, annotations, categories)


def _draw_one(drawn: DrawnSet, settings: RenderSettings, index: int) -> tuple[Record, list[Record]]:
    width, height = settings.size
    if drawn.style == _WITH_BOXES:
        drawing = draw_objects(drawn.scenes, index, drawn.seed, settings.size)
    else:
        drawing = draw_people(drawn.scenes, index, drawn.seed, drawn.style, settings.size)
    file_name = f"{drawn.name}/{index:06d}.jpg"
    pixels = cv2.cvtColor(drawing.image, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])
    (settings.root / file_name).write_bytes(content.tobytes())
    image_id = drawn.number * _IDS + index + 1
    record = {"id": image_id, "file_name": file_name, "width": width, "height": height}
    return record, drawing.annotations
