"""Thumbnails of images with their annotations, as data URIs."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from datastill.coco.format import Record
from datastill.coco.metadata import Metadata
from datastill.errors import DataError
from datastill.images.contact_sheet import draw_annotations
from datastill.images.load import load_image

WIDTH = 360  # pixels of a thumbnail, at most; the height is three quarters of it at most
_QUALITY, _METHOD = 74, 2  # of WebP: a third of the usual method's time for 6 % more bytes
_ASPECT = np.array([4 / 3, 3 / 4])  # width over height of what is cut out, and its inverse
_SMALL = 0.5  # share of an image below which its objects are cut out
_MARGIN = 0.35  # around them, of their extent

Window = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels


def thumbnail(
    root: Path,
    image: Record,
    annotations: Sequence[Record],
    metadata: Metadata,
    window: Window | None = None,
) -> str | None:
    """Return the image, or the `window` of it, with its annotations; None if it cannot be read."""
    try:
        pixels = load_image(root, image).permute(1, 2, 0).numpy()
    except DataError:
        return None
    left, top, right, bottom = window or (0, 0, image["width"], image["height"])
    part = pixels[top:bottom, left:right]
    scale = min(WIDTH / part.shape[1], 0.75 * WIDTH / part.shape[0])
    size = max(1, round(scale * part.shape[1])), max(1, round(scale * part.shape[0]))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(part, size, interpolation=method), np.uint8)
    moved = [_moved(drawable(each, metadata), left, top) for each in annotations]
    drawn = draw_annotations(resized, moved, metadata, scale)
    code = io.BytesIO()
    Image.fromarray(drawn).save(code, "WEBP", quality=_QUALITY, method=_METHOD)
    return "data:image/webp;base64," + base64.b64encode(code.getvalue()).decode()


def drawable(record: Record, metadata: Metadata) -> Record:
    """Return a COCO result or annotation with what drawing needs: a bbox, visible keypoints."""
    if not metadata.sigmas:
        return {name: value for name, value in record.items() if name != "keypoints"}
    if "iscrowd" in record:
        return record
    points = np.reshape(record["keypoints"], (-1, 3)).astype(float)
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    box = {"bbox": [*low.tolist(), *(high - low).tolist()]}
    points[:, 2] = 2
    return box | record | {"keypoints": points.ravel().tolist()}


def window(image: Record, annotations: Sequence[Record], metadata: Metadata) -> Window | None:
    """Return the part of `image` that shows its objects, None if that is most of it."""
    boxes = np.array(
        [drawable(each, metadata)["bbox"] for each in annotations], dtype=float
    ).reshape(-1, 4)
    if not len(boxes):
        return None
    low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    limits = np.array([image["width"], image["height"]], dtype=float)
    wanted = np.maximum(high - low, limits / 5) * (1 + 2 * _MARGIN)
    extent = np.minimum(np.maximum(wanted, wanted[::-1] * _ASPECT), limits)
    if np.prod(extent) > _SMALL * np.prod(limits):
        return None
    low = np.clip((low + high - extent) / 2, 0, limits - extent)
    high = np.minimum(low + np.maximum(extent, 2), limits)
    (x1, y1), (x2, y2) = np.floor(low).astype(int).tolist(), np.ceil(high).astype(int).tolist()
    return x1, y1, x2, y2


def _moved(record: Record, left: int, top: int) -> Record:
    x, y, width, height = record["bbox"]
    moved = record | {"bbox": [x - left, y - top, width, height]}
    if "keypoints" in record:
        points = np.reshape(record["keypoints"], (-1, 3)).astype(float) - (left, top, 0)
        moved["keypoints"] = points.ravel().tolist()
    return moved
