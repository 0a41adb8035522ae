"""Image files, decoded to RGB pixels."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition

import numpy as np
import torch
from PIL import Image
from PIL.Image import Transpose
from torch import Tensor

from datastill.coco.format import Record
from datastill.coco.image_header import AVIF, DEFAULT_LIMIT, PixelLimit, layout, opened
from datastill.errors import DataError
from datastill.io import check_file
from datastill.progress import note_once

IMAGE_KINDS = (
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif",
    ".ppm", ".pgm", ".pnm", ".jp2", *([".avif"] if AVIF else []),
)  # fmt: skip
_DEPTHS = (8, 10, 12, 14, 16)  # bits of a camera's grey values, stored in 16
_TO_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}  # fmt: skip  # by EXIF orientation


class Room:
    """Room for the pixels of all threads of a process together; small images need none."""

    def __init__(self, most: int, small: int) -> None:
        self._most, self._left, self._small, self._changed = most, most, small, Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for an image of so many `pixels`, or for all there is."""
        if pixels <= self._small:
            yield
            return
        pixels = min(pixels, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= pixels)
            self._left -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._left += pixels
                self._changed.notify_all()


_room = Room(100_000_000, 12_000_000)


@dataclass(frozen=True)
class Refusal:
    """A file that is left out of a set, and why."""

    file_name: str
    reason: str


def printable(file_name: str) -> str:
    """Return the name as text, with bytes that are not UTF-8 escaped."""
    return file_name.encode("utf-8", "backslashreplace").decode()


def image_path(root: Path, file_name: str) -> Path:
    """Return the path of `file_name` below `root`; raises DataError if it is not below `root`.

    A folder in `root` may be a link to the real image folder; then they must be below that.
    """
    path = root / file_name
    first, *rest = Path(file_name).parts or ("",)
    linked = rest and first != ".." and (root / first).is_symlink()
    within = root / first if linked else root
    if not path.resolve().is_relative_to(within.resolve()):
        raise DataError(f"file_name {file_name!r} leaves the image folder {root}")
    return path


def load_image(root: Path, record: Record) -> Tensor:
    """Read a COCO record's image as `read_image` does; raises DataError also outside `root`."""
    return read_image(image_path(root, record["file_name"]), (record["width"], record["height"]))


def read_image(
    path: Path, size: tuple[int, int] | None = None, limit: PixelLimit | None = None
) -> Tensor:
    """Read an image file as `decode_image` does; raises DataError naming it and what is wrong."""
    try:
        return decode_image(image_bytes(path), size, limit)
    except FileNotFoundError:
        raise DataError(f"{path}: no such image; `datastill data` makes the image sets") from None
    except OSError as error:
        raise DataError(f"{path}: no readable image: {error}") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def image_bytes(path: Path) -> bytes:
    """Return the content of a file; raises OSError, also for a pipe, which would not end."""
    check_file(path)
    return path.read_bytes()


def decode_image(
    content: bytes, size: tuple[int, int] | None = None, limit: PixelLimit | None = None
) -> Tensor:
    """Return an image file's pixels as RGB (3, h, w) uint8.

    They are rotated as the EXIF orientation says, unless only the unrotated image has the `size`
    (width, height) that its annotations are for. Raises DataError if `content` is not a whole
    image and, before its pixels are decoded, if it is of another size or has more of them than
    `limit`. Without one, an image of a known `size` may have any number, others DEFAULT_LIMIT.
    """
    if not content:
        raise DataError("no readable image: the file is empty")
    with opened(io.BytesIO(content)) as image:
        upright, turned = layout(image)
        stored = upright[::-1] if turned in range(5, 9) else upright
        if limit or not size:
            (limit or DEFAULT_LIMIT).check(upright)
        if size and stored != size != upright:
            actual, annotated = ("{} x {}".format(*each) for each in (upright, size))
            raise DataError(f"the image is {actual}, its annotations are for {annotated}")
        turn = _TO_UPRIGHT.get(turned) if size in (None, upright) else None
        with _room.taken(upright[0] * upright[1]):
            pixels = np.array(_rgb(image if turn is None else image.transpose(turn)))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _rgb(image: Image.Image) -> Image.Image:
    if not image.mode.startswith(("I", "F")):
        return image.convert("RGB")
    # More than 8 bits of grey, which Pillow's own conversion would clip.
    grey = np.asarray(image)
    if image.mode == "F" or grey.min() < 0 or grey.max() >= 2**16:
        raise DataError(
            f"expected grey values of 8 or 16 bits, found {grey.min():g} to {grey.max():g} in mode "
            f"{image.mode}; convert the image"
        )
    grey = grey.astype(np.int64)
    depth = next(bits for bits in _DEPTHS if grey.max() < 2**bits)
    if depth < 16:
        note_once(f"images of 16 bits whose values end below {2**depth:,} are read as {depth} bits")
    return Image.fromarray((grey * 255 // (2**depth - 1)).astype(np.uint8)).convert("RGB")
