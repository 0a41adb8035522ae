"""Image sets under the paper's names (section 5.1): drawn here, written as one COCO JSON each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import pandas as pd

from datastill.data.coco import PERSON, Coco, Record, write_coco, write_text
from datastill.data.figures import draw
from datastill.data.images import fingerprints

_IDS = 1_000_000  # ids of one set: more than any set has images or annotations
_JPEG_QUALITY = 92


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
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        job = partial(_draw_image, drawn, studio)
        for image, people in pool.map(job, range(drawn.images), chunksize=8):
            images.append(image)
            for person in people:
                number = drawn.number * _IDS + len(annotations) + 1
                annotations.append({"id": number, "image_id": image["id"], **person})
            advance(1)
    return Coco(images, annotations, [PERSON])


def _draw_image(drawn: DrawnSet, studio: Studio, index: int) -> tuple[Record, list[Record]]:
    drawing = draw(drawn.name, index, studio.seed, drawn.style, studio.size)
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


def union(parts: Sequence[Coco]) -> Coco:
    """Return the images and annotations of all `parts`, whose ids differ."""
    return Coco(
        [image for part in parts for image in part.images],
        [annotation for part in parts for annotation in part.annotations],
        parts[0].categories,
    )


def write_sets(folder: Path, root: Path, sets: Mapping[str, Coco]) -> None:
    """Write <name>.json for every set, and one manifest of all image files below `root`.

    manifest.csv has a line per image file, each once: file_name, size in bytes, SHA-256 digest.
    """
    for name, coco in sets.items():
        write_coco(folder / f"{name}.json", coco)
    files = {image["file_name"]: image for coco in sets.values() for image in coco.images}
    lines = pd.DataFrame(fingerprints(root, list(files.values())))
    write_text(folder / "manifest.csv", lines.to_csv(index=False))


def missing_images(root: Path, coco: Coco) -> list[str]:
    """Return the file names of the set's images that are not below `root`."""
    return [i["file_name"] for i in coco.images if not (root / i["file_name"]).is_file()]


def with_keypoints(coco: Coco) -> Coco:
    """Return only the images with an annotated keypoint, as Mask R-CNN does to train."""
    kept = {a["image_id"] for a in coco.annotations if a["num_keypoints"] and not a.get("iscrowd")}
    return Coco(
        [image for image in coco.images if image["id"] in kept],
        [annotation for annotation in coco.annotations if annotation["image_id"] in kept],
        coco.categories,
    )
