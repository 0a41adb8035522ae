"""COCO JSON too large for memory: one record at a time, and a fixed sample of the images."""

import heapq
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from datastill.coco.format import Coco, Record
from datastill.errors import DataError

_CHUNK = 2**20  # characters
_BETWEEN = re.compile(r"[\s,]*")  # two records
_DECODER = json.JSONDecoder()


def read_section(path: Path, section: str) -> Iterator[Record]:
    """Yield the records of a section of COCO JSON that datastill wrote.

    Raises DataError if the file is absent, has no such section or ends within it.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; the data stage writes it")
    with path.open(encoding="utf-8") as file:
        text, start = _find(file, f'"{section}":[')
        if start < 0:
            raise DataError(f"{path}: expected COCO JSON, found no list of {section}")
        while True:
            record, text, start = _next(file, text, start)
            if record is None:
                return
            yield record


def _next(file: TextIO, text: str, start: int) -> tuple[Record | None, str, int]:
    """Return the record after `start` of `text`, None at the list's end; the text, and its end."""
    while True:
        start = _BETWEEN.match(text, start).end()  # type: ignore[union-attr]
        if text.startswith("]", start):
            return None, text, start
        try:
            record, end = _DECODER.raw_decode(text, start)
        except ValueError:
            if not (chunk := file.read(_CHUNK)):
                raise DataError(f"{file.name}: ends within a list of records") from None
            text, start = text[start:] + chunk, 0
        else:
            return record, text, end


def _find(file: TextIO, marker: str) -> tuple[str, int]:
    """Return text with the first `marker` and where that ends, -1 if there is none."""
    text = ""
    while chunk := file.read(_CHUNK):
        text = text[-len(marker) :] + chunk
        if (start := text.find(marker)) >= 0:
            return text, start + len(marker)
    return text, -1


def sample_images(path: Path, count: int) -> tuple[Coco, int]:
    """Return `count` of the images at most, with their annotations, and how many there are.

    The same images of the same file, chosen by the checksums of their ids; in the file's order.
    """
    total = 0

    def counted() -> Iterator[tuple[int, int, Record]]:
        nonlocal total
        for total, image in enumerate(read_section(path, "images"), start=1):
            yield zlib.crc32(str(image["id"]).encode()), total, image

    chosen = sorted(heapq.nsmallest(count, counted()), key=lambda each: each[1])
    images = [image for *_, image in chosen]
    ids = {image["id"] for image in images}
    annotations = [a for a in read_section(path, "annotations") if a["image_id"] in ids]
    return Coco(images, annotations, [*read_section(path, "categories")]), total
