"""Images: from a file name inside a root to pixels, and pixels to a network's scale."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from datastill.data.coco import Record
from datastill.errors import DataError


@dataclass(frozen=True)
class Refusal:
    """A file that a set goes on without, and why."""

    file_name: str
    reason: str


def image_path(root: Path, file_name: str) -> Path:
    """Return the path of `file_name` below `root`; raises DataError where it would leave `root`."""
    path = root / file_name
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"file_name {file_name!r} leaves the image folder {root}")
    return path


def read_image(path: Path) -> Tensor:
    """Read an image as RGB (3, h, w) uint8, turned as its EXIF orientation says.

    Raises DataError where the file is absent or no image.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such image; `datastill data` writes the drawn ones") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: no readable image: {error}") from None
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def scaled_size(height: int, width: int, short_side: int, long_side: int) -> tuple[int, int]:
    """Return (height, width) with that short side, or smaller where the long one would pass."""
    factor = min(short_side / min(height, width), long_side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def resize(image: Tensor, short_side: int, long_side: int) -> Tensor:
    """Return `image` (3, h, w) uint8 at that scale; smooths before it shrinks."""
    size = scaled_size(image.shape[-2], image.shape[-1], short_side, long_side)
    return transforms.resize(image, list(size), antialias=True)


def unit_interval(image: Tensor) -> Tensor:
    """Return `image` uint8 as float32 in [0, 1]."""
    return image.float().div_(255)


def fingerprints(root: Path, images: list[Record]) -> list[Record]:
    """Return {"file_name", "size", "digest"} of every image file below `root`."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda image: _fingerprint(root, image["file_name"]), images))


def _fingerprint(root: Path, file_name: str) -> Record:
    content = image_path(root, file_name).read_bytes()
    return {
        "file_name": file_name,
        "size": len(content),
        "digest": hashlib.sha256(content).hexdigest(),
    }
