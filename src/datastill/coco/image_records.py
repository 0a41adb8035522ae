"""Image records of a large set: compact, and made anew whenever they are read."""

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import overload

import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Record

_BLOCK = 128  # records; small, as a single record costs reading its whole block


class ImageRecords(Sequence[Record]):
    """A read-only sequence of records: compressed JSON, for less than a tenth of what dicts take.

    A slice shares the content. Every reading makes new dicts, with the keys in their order.
    """

    __slots__ = ("_blocks", "_places")

    def __init__(self, records: Iterable[Record]) -> None:
        remaining, self._blocks, count = iter(records), list[bytes](), 0
        while block := [*islice(remaining, _BLOCK)]:
            self._blocks.append(zlib.compress(json.dumps(block).encode(), 1))
            count += len(block)
        self._places = range(count)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> "ImageRecords": ...
    def __getitem__(self, place: int | slice) -> "Record | ImageRecords":
        if isinstance(place, slice):
            part = ImageRecords(())
            part._blocks, part._places = self._blocks, self._places[place]
            return part
        number, within = divmod(self._places[place], _BLOCK)
        return self._block(number)[within]

    def __iter__(self) -> Iterator[Record]:
        for number, places in groupby(self._places, lambda place: place // _BLOCK):
            block = self._block(number)
            yield from (block[place % _BLOCK] for place in places)

    def _block(self, number: int) -> list[Record]:
        block: list[Record] = json.loads(zlib.decompress(self._blocks[number]))
        return block


def image_ids(images: Sequence[Record]) -> NDArray[np.int64]:
    """Return the ids (n,) of `images`, for a tenth of what a set of them takes."""
    return np.fromiter((image["id"] for image in images), np.int64, len(images))
