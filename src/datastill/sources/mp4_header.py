"""The number of frames that an MP4 file claims, read before FFmpeg makes an entry for each."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from datastill.errors import DataError

_SIZES = re.compile(rb"stsz.{8}(.{4})", re.DOTALL)  # the box with the size of every frame
_MOST_PER_BYTE = 4  # frames or, as compressed audio counts two a byte, samples
_MOST_HEADER = 2**30  # bytes; an hour of video has some hundred kilobytes
_MOST_BOXES = 64  # at the top; `moov` is one of the first or the last of a few


def check_claim(path: Path) -> None:
    """Raise DataError if an MP4 or QuickTime file claims far more frames than it has bytes.

    FFmpeg takes some forty bytes for every claimed frame. Other files pass.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        counts = [count for header in _movie_headers(file, size) for count in _counts(header)]
    if (most := max(counts, default=0)) > _MOST_PER_BYTE * size:
        raise DataError(f"{path}: claims {most:,} frames in {size:,} bytes; download it again")


def _counts(header: bytes) -> Iterator[int]:
    """Yield the number of frames of every track."""
    return (int.from_bytes(match[1]) for match in _SIZES.finditer(header))


def _movie_headers(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the content of each box `moov` at the top of the file."""
    start = 0
    for _ in range(_MOST_BOXES):
        file.seek(start)
        head = file.read(16).ljust(16, b"\0")
        length, kind = int.from_bytes(head[:4]), head[4:8]
        if length == 1:  # 64 bits
            length = int.from_bytes(head[8:])
        length = length or size - start
        if kind == b"moov":
            file.seek(start)
            yield file.read(min(length, _MOST_HEADER))
        start += length
        if length < 8 or start >= size:
            return
