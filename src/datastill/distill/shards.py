"""Candidates on disk: unlabelled images cut into shards, each written whole and never twice.

A shard is named for its images and for everything that decides what is found in them: weights,
views and the content of the images. Interrupted, distributed or repeated, the same shards come out.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datastill.coco.format import Record
from datastill.errors import DataError
from datastill.images.load import Refusal
from datastill.io import atomic

SIZE = 32  # images: what a kill can cost
_REFUSED = b"datastill.refused"  # the key of a shard's metadata that lists unreadable images

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.int64()),
        pa.field("category_id", pa.int64()),
        pa.field("score", pa.float64()),  # of the box: of the plain pass or, of many, the highest
        pa.field("box", pa.list_(pa.float64())),  # x1, y1, x2, y2 in pixels of the image
        pa.field("keypoints", pa.list_(pa.float64())),  # (x, y, mean probability of the peak) * k
        pa.field("spread", pa.list_(pa.float32())),  # k: how far apart the views place it
        pa.field("agreeing", pa.list_(pa.int16())),  # k: how many views place it there
        pa.field("views", pa.int16()),  # how many have voted for the box
        pa.field("box_spread", pa.float32()),  # mean 1 - IoU of those votes
    ]
)


@dataclass(frozen=True)
class Shard:
    """Some of the images, and the file that will hold their candidates."""

    images: tuple[Record, ...]
    path: Path

    @property
    def is_done(self) -> bool:
        """Return whether its candidates are there."""
        return self.path.is_file()

    def write(self, candidates: pa.Table, refused: Sequence[Refusal] = ()) -> None:
        """Write the candidates of its images, and which images could not be read: or nothing."""
        notes = json.dumps([[refusal.file_name, refusal.reason] for refusal in refused])
        table = candidates.replace_schema_metadata({_REFUSED: notes.encode()})
        # two rows of one teacher may be at the same shard; whoever is last writes the same
        with atomic(self.path, f".{os.getpid()}.partial") as partial:
            pq.write_table(table, partial, write_page_checksum=True)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return its candidates, of SCHEMA; raises DataError where the file is damaged."""
        try:
            with (
                pa.OSFile(str(self.path)) as source,
                pq.ParquetFile(source, page_checksum_verification=True) as file,
            ):
                return file.read(columns, use_threads=False)  # too small to share out
        except (pa.ArrowException, OSError) as error:
            what = " ".join(str(error).split())
            raise DataError(
                f"{self.path}: damaged ({what}); delete it and its images are looked at again"
            ) from None


def refusals(candidates: pa.Table) -> list[Refusal]:
    """Return the images that could not be read, of a table as `Shard.read` returns it."""
    notes = (candidates.schema.metadata or {}).get(_REFUSED, b"[]")
    return [Refusal(*pair) for pair in json.loads(notes)]


def lists(values: NDArray[Any]) -> pa.ListArray:
    """Return the rows of an array (n, m) as a column."""
    n, m = values.shape
    return pa.ListArray.from_arrays(m * np.arange(n + 1), values.ravel())


def rows(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return a column of lists of equal length, as `lists` makes it, as an array (n, m)."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), len(flat) // max(1, len(column)))


def cut(
    images: Sequence[Record], digests: Mapping[str, str], folder: Path, size: int = SIZE
) -> Iterator[Shard]:
    """Cut `images` into shards of the `folder` that is named for teacher and views.

    `digests` are those of the image files, by file name.
    """
    for start in range(0, len(images), size):
        part = tuple(images[start : start + size])
        content = [(image["id"], digests.get(image["file_name"], "")) for image in part]
        key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
        yield Shard(part, folder / f"{start:09d}-{key}.parquet")


_TOGETHER = 64  # shards that are read as one table: few for memory, many for speed


class Candidates:
    """Everything that a teacher found in a set, some shards at a time: only scores are held."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards

    def tables(self, *columns: str) -> Iterator[pa.Table]:
        """Yield all candidates in the order of the images; all columns or these."""
        if columns == ("score",):
            yield self._glance[0]
            return
        for start in range(0, len(self._shards), _TOGETHER):
            several = self._shards[start : start + _TOGETHER]
            yield pa.concat_tables([shard.read(list(columns) or None) for shard in several])

    def refused(self) -> list[Refusal]:
        """Return the images that could not be read."""
        return self._glance[1]

    @cached_property
    def _glance(self) -> tuple[pa.Table, list[Refusal]]:
        """Scores and refused images, which several ask for."""
        tables = [shard.read(["score"]) for shard in self._shards]
        return pa.concat_tables(tables), [each for table in tables for each in refusals(table)]
