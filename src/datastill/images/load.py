"""Image files, decoded to RGB pixels."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError, features
from PIL.Image import Transpose
from torch import Tensor

from datastill.coco.format import Record
from datastill.errors import DataError
from datastill.progress import note_once

# The formats of Pillow that data sets use, with any suffix; for EPS it would run a program.
_AVIF = features.check("avif")  # from Pillow 11.3 on, if it was built so
_FORMATS = (
    "JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", *(["AVIF"] if _AVIF else []),
)  # fmt: skip
IMAGE_KINDS = (
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif",
    ".ppm", ".pgm", ".pnm", ".jp2", *([".avif"] if _AVIF else []),
)  # fmt: skip
_MOST_PIXELS = 100_000_000  # of an image; a file of a few bytes may decode to more
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit, which only warns of up to twice as many
_DEPTHS = (8, 10, 12, 14, 16)  # bits of a camera's grey values, stored in 16
_PILLOW_ERRORS = (
    OSError, EOFError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError,
)  # fmt: skip
_TO_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}  # fmt: skip  # by EXIF orientation


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


def read_image(path: Path, size: tuple[int, int] | None = None) -> Tensor:
    """Read an image file as `decode_image` does; raises DataError naming it and what is wrong."""
    try:
        return decode_image(path.read_bytes(), size)
    except FileNotFoundError:
        raise DataError(f"{path}: no such image; `datastill data` makes the image sets") from None
    except OSError as error:
        raise DataError(f"{path}: no readable image: {error}") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def decode_image(content: bytes, size: tuple[int, int] | None = None) -> Tensor:
    """Return an image file's pixels as RGB (3, h, w) uint8.

    They are rotated as the EXIF orientation says, unless only the unrotated image has the `size`
    (width, height) that its annotations are for. Raises DataError if `content` is not a whole
    image or of another size.
    """
    if not content:
        raise DataError("no readable image: the file is empty")
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            _check_pixels(image)
            upright = _upright_size(image)
            if size and image.size != size != upright:
                actual, annotated = ("{} x {}".format(*each) for each in (upright, size))
                raise DataError(f"the image is {actual}, its annotations are for {annotated}")
            turn = _TO_UPRIGHT.get(_orientation(image)) if size in (None, upright) else None
            pixels = np.array(_rgb(image if turn is None else image.transpose(turn)))
    except UnidentifiedImageError:
        raise DataError("no readable image: unknown format") from None
    except _PILLOW_ERRORS as error:
        raise DataError(f"no readable image: {error}") from None
    return torch.from_numpy(pixels).permute(2, 0, 1)


def image_size(path: Path) -> tuple[int, int]:
    """Return the upright (width, height) that an image's header has; raises DataError."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            _check_pixels(image)
            return _upright_size(image)
    except _PILLOW_ERRORS as error:
        raise DataError(f"no readable image: {error}") from None


def _check_pixels(image: Image.Image) -> None:
    """Raise DataError before an image of too many pixels is decoded."""
    if image.width * image.height > _MOST_PIXELS:
        size = f"{image.width:,} x {image.height:,} pixels"
        raise DataError(f"it has {size}, more than {_MOST_PIXELS:,}; make it smaller or cut it up")


def _upright_size(image: Image.Image) -> tuple[int, int]:
    return image.size[::-1] if _orientation(image) in range(5, 9) else image.size


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) if EXIF is absent, damaged or already applied."""
    if image.format in {"PNG", "TIFF"}:  # EXIF may follow the pixels in a PNG
        image.load()
    if image.format == "TIFF":  # which Pillow rotates while loading
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow's parser may raise anything; the image may be whole
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image.convert("RGB")
    # More than 8 bits of grey, which Pillow's own conversion would clip.
    grey = np.asarray(image).astype(np.int64).clip(0, 2**16 - 1)
    depth = next(bits for bits in _DEPTHS if grey.max() < 2**bits)
    if depth < 16:
        note_once(f"images of 16 bits whose values end below {2**depth:,} are read as {depth} bits")
    return Image.fromarray((grey * 255 // (2**depth - 1)).astype(np.uint8)).convert("RGB")
