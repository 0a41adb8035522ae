"""Contact sheets: what is in a set of images, with boxes, names and skeletons, at one glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Coco, Record, Task
from datastill.coco.metadata import build_metadata
from datastill.coco.skeleton import Skeleton
from datastill.images.load import load_image
from datastill.io import atomic

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

SHOWN = 24  # images of a sheet
CELL = (320, 240)  # width, height in pixels
_LEFT: Colour = (255, 96, 48)
_RIGHT: Colour = (48, 152, 255)
_MIDDLE: Colour = (250, 220, 60)
_BOX: Colour = (90, 235, 120)
_BOXES: tuple[Colour, ...] = (
    _BOX, (255, 200, 60), (90, 190, 255), (255, 120, 190), (255, 110, 70), (190, 150, 255),
)  # fmt: skip  # by category, over and over


def write_contact_sheet(path: Path, root: Path, coco: Coco, task: Task) -> None:
    """Write the first images of `coco`, files below `root`, with what is annotated on them."""
    objects = coco.by_image()
    shown = coco.images[:SHOWN]
    pictures = [load_image(root, image).permute(1, 2, 0).numpy() for image in shown]
    metadata = build_metadata(coco, task)
    names = {each["id"]: each["name"] for each in metadata.categories if not metadata.sigmas}
    annotated = [objects[image["id"]] for image in shown]
    write_png(path, contact_sheet(pictures, annotated, metadata.skeleton, names))


def contact_sheet(
    images: Sequence[Image],
    annotations: Sequence[Sequence[Record]],
    skeleton: Skeleton,
    names: Mapping[int, str] | None = None,
    columns: int = 6,
) -> Image:
    """Tile RGB `images` with their `annotations` drawn over them, row by row.

    Left limbs are orange, right ones blue; a keypoint that is hidden (v = 1) is a ring. At its box
    an annotation's "score" is written and, where there are `names` by category id, what it is, in
    the category's colour.
    """
    known = names or {}
    cells = [_cell(*pair, skeleton, known) for pair in zip(images, annotations, strict=True)]
    blank = np.full((CELL[1], CELL[0], 3), 255, np.uint8)
    cells += [blank] * (-len(cells) % columns)
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return np.vstack(rows) if rows else blank


def draw_annotations(
    image: Image,
    annotations: Sequence[Record],
    skeleton: Skeleton,
    names: Mapping[int, str],
) -> Image:
    """Return RGB `image` (h, w, 3) in its own size, `annotations` drawn over it as on a sheet."""
    picture = np.ascontiguousarray(image).copy()
    for annotation in annotations:
        _draw_box(picture, annotation, 1.0, names)
        _draw_skeleton(picture, annotation, skeleton, 1.0)
    return picture


def write_png(path: Path, image: Image) -> None:
    """Write the RGB `image` to `path` atomically, making its folder."""
    _, code = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    with atomic(path) as partial:
        partial.write_bytes(code.tobytes())


def _cell(
    image: Image,
    annotations: Sequence[Record],
    skeleton: Skeleton,
    names: Mapping[int, str],
) -> Image:
    """Return `image` fitted into a cell, its aspect kept, with its annotations."""
    height, width = image.shape[:2]
    scale = min(CELL[0] / width, CELL[1] / height)
    size = max(round(scale * width), 1), max(round(scale * height), 1)
    fitted = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    cell = np.full((CELL[1], CELL[0], 3), 255, np.uint8)
    cell[: size[1], : size[0]] = fitted
    for annotation in annotations:
        _draw_box(cell, annotation, scale, names)
        _draw_skeleton(cell, annotation, skeleton, scale)
    return cell


def _draw_box(cell: Image, annotation: Record, scale: float, names: Mapping[int, str]) -> None:
    left, top, width, height = (round(scale * number) for number in annotation["bbox"])
    category = annotation.get("category_id", 0)
    place = list(names).index(category) if category in names else 0
    colour = _BOXES[place % len(_BOXES)]
    cv2.rectangle(cell, (left, top), (left + width, top + height), colour, 1, cv2.LINE_AA)
    words = [names[category]] if category in names else []
    words += [f"{annotation['score']:.2f}"] if "score" in annotation else []
    if words:
        spot = (left + 2, max(top + 11, 11))
        text = " ".join(words)
        cv2.putText(cell, text, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)


def _draw_skeleton(cell: Image, annotation: Record, skeleton: Skeleton, scale: float) -> None:
    if "keypoints" not in annotation:
        return
    keypoints = np.reshape(annotation["keypoints"], (-1, 3))
    spots = np.rint(scale * keypoints[:, :2]).astype(int).tolist()
    colours = [_colour(skeleton, i) for i in range(len(keypoints))]
    for first, second in ((a - 1, b - 1) for a, b in skeleton.edges):
        if keypoints[first, 2] > 0 and keypoints[second, 2] > 0:
            colour = colours[first] if colours[first] == colours[second] else _MIDDLE
            cv2.line(cell, spots[first], spots[second], colour, 1, cv2.LINE_AA)
    for spot, visibility, colour in zip(spots, keypoints[:, 2], colours, strict=True):
        if visibility > 0:
            thickness = 1 if visibility == 1 else cv2.FILLED
            cv2.circle(cell, spot, 3, colour, thickness, cv2.LINE_AA)


def _colour(skeleton: Skeleton, keypoint: int) -> Colour:
    if skeleton.flip_indices[keypoint] == keypoint:
        return _MIDDLE
    return _LEFT if keypoint in skeleton.left else _RIGHT
