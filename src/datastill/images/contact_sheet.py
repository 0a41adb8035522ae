"""Contact sheets: tiled images with their boxes, category names, scores and skeletons."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Coco, Record, Task
from datastill.coco.metadata import Metadata, build_metadata
from datastill.coco.skeleton import Skeleton
from datastill.images.load import load_image
from datastill.io import atomic

Image = NDArray[np.uint8]

SHOWN = 24  # images of a sheet
CELL = (320, 240)  # width, height in pixels
_LEFT, _RIGHT, _MIDDLE = (255, 96, 48), (48, 152, 255), (250, 220, 60)
_BOXES = (
    (90, 235, 120), (255, 200, 60), (90, 190, 255), (255, 120, 190), (255, 110, 70),
    (190, 150, 255),
)  # fmt: skip  # by category, repeating


def write_contact_sheet(path: Path, root: Path, coco: Coco, task: Task) -> None:
    """Write a sheet of the first images of `coco` (files below `root`) with annotations."""
    objects, first = coco.by_image(), coco.images[:SHOWN]
    pixels = (load_image(root, image).permute(1, 2, 0).numpy() for image in first)
    annotations = [objects[image["id"]] for image in first]
    write_png(path, contact_sheet(pixels, annotations, build_metadata(coco, task)))


def contact_sheet(
    images: Iterable[Image],
    annotations: Sequence[Sequence[Record]],
    metadata: Metadata,
    columns: int = 6,
) -> Image:
    """Tile RGB `images` row by row, each fitted into a cell, with their `annotations`.

    Left limbs are orange, right ones blue; a hidden keypoint (v = 1) is a ring. A box has the
    annotation's "score" and, without keypoints, the name and the colour of its category.
    """
    width, height = CELL
    rows = max(1, -(-len(annotations) // columns))
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for place, pair in enumerate(zip(images, annotations, strict=True)):
        top, left = height * (place // columns), width * (place % columns)
        sheet[top : top + height, left : left + width] = _cell(*pair, metadata)
    return sheet


def _cell(image: Image, annotations: Sequence[Record], metadata: Metadata) -> Image:
    """Return `image` fitted into a cell, its aspect kept, with its annotations."""
    height, width = image.shape[:2]
    scale = min(CELL[0] / width, CELL[1] / height)
    size = max(round(scale * width), 1), max(round(scale * height), 1)
    cell = np.full((CELL[1], CELL[0], 3), 255, np.uint8)
    cell[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return draw_annotations(cell, annotations, metadata, scale)


def write_png(path: Path, image: Image) -> None:
    """Write the RGB `image` to `path` atomically, making its folder."""
    _, code = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    with atomic(path) as partial:
        partial.write_bytes(code.tobytes())


def draw_annotations(
    image: Image, annotations: Sequence[Record], metadata: Metadata, scale: float = 1.0
) -> Image:
    """Return RGB `image` (h, w, 3) with `annotations` drawn over it, their pixels times `scale`."""
    drawn = image.copy("C")
    for annotation in annotations:
        _draw_box(drawn, annotation, metadata, scale)
        if "keypoints" in annotation:
            keypoints = np.reshape(annotation["keypoints"], (-1, 3)) * (scale, scale, 1)
            _draw_skeleton(drawn, keypoints, metadata.skeleton)
    return drawn


def _draw_box(drawn: Image, annotation: Record, metadata: Metadata, scale: float) -> None:
    left, top, width, height = (round(scale * number) for number in annotation["bbox"])
    names = {} if metadata.sigmas else {each["id"]: each["name"] for each in metadata.categories}
    category = annotation.get("category_id", 0)
    colour = _BOXES[[*names].index(category) % len(_BOXES) if category in names else 0]
    cv2.rectangle(drawn, (left, top), (left + width, top + height), colour, 1, cv2.LINE_AA)
    words = [names[category]] if category in names else []
    words += [f"{annotation['score']:.2f}"] if "score" in annotation else []
    if words:
        spot, font = (left + 2, max(top + 11, 11)), cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(drawn, " ".join(words), spot, font, 0.4, colour, 1, cv2.LINE_AA)


def _draw_skeleton(drawn: Image, keypoints: NDArray[np.float64], skeleton: Skeleton) -> None:
    """Draw the `keypoints` (k, 3), x, y, v in pixels of the drawn image."""
    spots = np.rint(keypoints[:, :2]).astype(int).tolist()
    colours = [
        _MIDDLE if partner == i else _LEFT if i in skeleton.left else _RIGHT
        for i, partner in enumerate(skeleton.flip_indices)
    ]
    for first, second in ((a - 1, b - 1) for a, b in skeleton.edges):
        if keypoints[first, 2] > 0 and keypoints[second, 2] > 0:
            colour = colours[first] if colours[first] == colours[second] else _MIDDLE
            cv2.line(drawn, spots[first], spots[second], colour, 1, cv2.LINE_AA)
    for spot, visibility, colour in zip(spots, keypoints[:, 2], colours, strict=True):
        if visibility > 0:
            cv2.circle(drawn, spot, 3, colour, 1 if visibility == 1 else cv2.FILLED, cv2.LINE_AA)
