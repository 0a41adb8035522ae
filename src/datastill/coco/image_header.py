"""Headers of image files: the formats that are read, and the sizes of the images."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from PIL import ExifTags, Image, UnidentifiedImageError, features

from datastill.errors import DataError
from datastill.io import check_file

# The formats of Pillow that data sets use, with any suffix; for EPS it would run a program.
AVIF = features.check("avif")  # from Pillow 11.3 on, if it was built so
_FORMATS = (
    "JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", *(["AVIF"] if AVIF else []),
)  # fmt: skip
MOST_PIXELS = 100_000_000  # of an image; a file of a few bytes may decode to more
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit, which only warns of up to twice as many
_PILLOW_ERRORS = (
    OSError, EOFError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError,
)  # fmt: skip


@contextmanager
def opened(source: Path | IO[bytes]) -> Iterator[Image.Image]:
    """Open an image file, of which only the header is read yet.

    Raises DataError if it is no image, has more than MOST_PIXELS or, inside the block, is damaged.
    """
    try:
        if isinstance(source, Path):
            check_file(source)
        with Image.open(source, formats=_FORMATS) as image:
            _check_pixels(image)
            yield image
    except UnidentifiedImageError:
        raise DataError("no readable image: unknown format") from None
    except _PILLOW_ERRORS as error:
        raise DataError(f"no readable image: {error}") from None


def image_size(path: Path) -> tuple[int, int]:
    """Return the upright (width, height) that an image's header has; raises DataError."""
    with opened(path) as image:
        return upright_size(image)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return the (width, height) of the image as it is displayed."""
    return image.size[::-1] if orientation(image) in range(5, 9) else image.size


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) if EXIF is absent, damaged or already applied."""
    if image.format in {"PNG", "TIFF"}:  # EXIF may follow the pixels in a PNG
        image.load()
    if image.format == "TIFF":  # which Pillow rotates while loading
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow's parser may raise anything; the image may be whole
        return 1


def _check_pixels(image: Image.Image) -> None:
    """Raise DataError before an image of too many pixels is decoded."""
    if image.width * image.height > MOST_PIXELS:
        size = f"{image.width:,} x {image.height:,} pixels"
        raise DataError(f"it has {size}, more than {MOST_PIXELS:,}; make it smaller or cut it up")
