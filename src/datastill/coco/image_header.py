"""Headers of image files: the formats that are read, and the sizes of the images."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from PIL import ExifTags, Image, UnidentifiedImageError, features
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import putchunk
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from datastill.errors import DataError, ParamsError
from datastill.io import check_file

# The formats of Pillow that data sets use, with any suffix; for EPS it would run a program.
AVIF = features.check("avif")  # from Pillow 11.3 on, if it was built so
_FORMATS = (
    "JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", *(["AVIF"] if AVIF else []),
)  # fmt: skip
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit, which only warns of up to twice as many
_PNG_HEADER = 33  # bytes of the signature and the first chunk
_EXIF_CHUNKS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")  # of PNG: those that may hold EXIF or XMP
_PILLOW_ERRORS = (
    OSError, EOFError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError,
)  # fmt: skip


@dataclass(frozen=True)
class PixelLimit:
    """The most megapixels of an image that is decoded: a file of a few bytes may hold many.

    key  the param or option that raises the limit, if one does
    """

    megapixels: float = 100
    key: str | None = None

    def check(self, size: tuple[int, int], advice: str = "make it smaller or cut it up") -> None:
        """Raise DataError, with `advice`, if an image of `size` (width, height) has more pixels."""
        if size[0] * size[1] > (most := round(self.megapixels * 1e6)):
            more = f", or raise {self.key}" if self.key else ""
            actual = f"{size[0]:,} x {size[1]:,} pixels, more than {most:,}"
            raise DataError(f"it has {actual}; {advice}{more}")


DEFAULT_LIMIT = PixelLimit()
MOST_MEGAPIXELS = 10_000  # that a limit may allow


def option_limit(megapixels: float | None, option: str) -> PixelLimit:
    """Return the limit that a command's option sets, if given; raises ParamsError."""
    if megapixels is None:
        megapixels = DEFAULT_LIMIT.megapixels
    if not 0 < megapixels <= MOST_MEGAPIXELS:
        expected = f"a number above 0, at most {MOST_MEGAPIXELS:,}"
        raise ParamsError(f"{option}: expected {expected}, found {megapixels:g}")
    return PixelLimit(megapixels, option)


@contextmanager
def opened(source: Path | IO[bytes]) -> Iterator[ImageFile]:
    """Open an image file, of which only the header is read yet.

    Raises DataError if it is no image or, inside the block, is damaged.
    """
    try:
        if isinstance(source, Path):
            check_file(source)
        with Image.open(source, formats=_FORMATS) as image:
            yield image
    except UnidentifiedImageError:
        raise DataError("no readable image: unknown format") from None
    except _PILLOW_ERRORS as error:
        raise DataError(f"no readable image: {error}") from None


def image_size(path: Path) -> tuple[int, int]:
    """Return the upright (width, height) that an image's header has; raises DataError."""
    with opened(path) as image:
        return layout(image)[0]


def layout(image: ImageFile) -> tuple[tuple[int, int], int]:
    """Return an image's upright (width, height), and the EXIF orientation of its decoded pixels.

    That is 1 (upright) if EXIF is absent or damaged, and of a TIFF, which Pillow turns as it
    decodes. No pixels are decoded here.
    """
    (width, height), orientation = image.size, _orientation(image)
    is_turned = orientation in range(5, 9)
    if isinstance(image, TiffImageFile):  # whose size Pillow may have turned already
        width, height, orientation = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH], 1
    return (height, width) if is_turned else (width, height), orientation


def _orientation(image: ImageFile) -> int:
    try:
        exif = _png_exif(image) if image.format == "PNG" else image.getexif()
        return int(exif.get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow's parser may raise anything; the image may be whole
        return 1


def _png_exif(image: ImageFile) -> Image.Exif:
    """Return a PNG's EXIF, which may follow its pixels: that of a copy with a single pixel."""
    Image.new("L", (1, 1)).save(one := io.BytesIO(), "PNG")
    chunks, file = io.BytesIO(), cast("IO[bytes]", image.fp)
    file.seek(_PNG_HEADER)
    pixels = False
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        pixels |= kind == b"IDAT"
        if kind == b"IEND" or (pixels and kind == b"fcTL"):  # the next frame: Pillow ends here
            break
        if kind in _EXIF_CHUNKS:
            putchunk(chunks, kind, file.read(length))
            length = 0
        file.seek(length + 4, io.SEEK_CUR)  # and the checksum
    header, pixel = one.getvalue()[:_PNG_HEADER], one.getvalue()[_PNG_HEADER:]
    with Image.open(io.BytesIO(header + chunks.getvalue() + pixel), formats=["PNG"]) as copy:
        return copy.getexif()
