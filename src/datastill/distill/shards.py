"""Candidates on disk: unlabelled images cut into shards, each written atomically and only once.

A shard's path depends on its images and on everything that decides their candidates: weights,
views, code and image content. Interrupted, distributed or repeated runs write the same shards.
"""

import ctypes
import hashlib
import json
import os
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
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
from datastill.io import atomic, is_alive, parse_json

SIZE = 32  # images whose inference is lost on an interruption
_WRITING = 60  # seconds, far more than writing a shard takes
_REFUSED = b"datastill.refused"  # the key of a shard's metadata that lists unreadable images

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.int64()),
        pa.field("category_id", pa.int64()),
        pa.field("score", pa.float64()),  # of the box: single-scale or, of many views, the highest
        pa.field("box", pa.list_(pa.float64())),  # x1, y1, x2, y2 in pixels of the image
        pa.field("keypoints", pa.list_(pa.float64())),  # (x, y, mean probability of the peak) * k
        pa.field("spread", pa.list_(pa.float32())),  # k: the views' disagreement on its position
        pa.field("agreeing", pa.list_(pa.int16())),  # k: how many views place it there
        pa.field("views", pa.int16()),  # how many voted for the box
        pa.field("box_spread", pa.float32()),  # mean 1 - IoU of those votes
    ]
)


@dataclass(frozen=True)
class Shard:
    """Some of the images, and the file of their candidates."""

    images: Sequence[Record]
    path: Path

    @property
    def is_done(self) -> bool:
        """Whether its candidates are written."""
        return self.path.is_file()

    def write(self, candidates: pa.Table, refused: Sequence[Refusal] = ()) -> None:
        """Write atomically the candidates of its images, and which images could not be read."""
        notes = json.dumps([[refusal.file_name, refusal.reason] for refusal in refused])
        table = candidates.replace_schema_metadata({_REFUSED: notes.encode()})
        # two rows with one teacher may write the same shard, with the same bytes
        with atomic(self.path, f".{os.getpid()}.partial") as partial:
            pq.write_table(table, partial, write_page_checksum=True)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return its candidates, of SCHEMA; raises DataError if the file is damaged."""
        try:
            with (
                pa.OSFile(str(self.path)) as source,
                pq.ParquetFile(source, page_checksum_verification=True) as file,
            ):
                table = file.read(columns, use_threads=False)  # too small to distribute
                refusals(table)
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"{self.path}: damaged ({reason}); delete it to infer on its images again"
            ) from None
        return table


def refusals(candidates: pa.Table) -> list[Refusal]:
    """Return the images that could not be read; raises ValueError if their list is damaged."""
    notes = (candidates.schema.metadata or {}).get(_REFUSED)
    if notes is None:
        raise ValueError("no list of unreadable images")
    pairs = parse_json(notes.decode())
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        if not isinstance(pair, list) or [*map(type, pair)] != [str, str]:
            raise ValueError(f"{pair!r} among the unreadable images")
    return [Refusal(*pair) for pair in pairs]


def delete_abandoned(folder: Path) -> None:
    """Delete what killed processes began to write in a folder of shards.

    A file that changed within _WRITING is left, as a process of another machine may write it.
    """
    for path in folder.glob("*.parquet.[0-9]*.partial"):
        owner = path.suffixes[-2].removeprefix(".")
        with suppress(OSError, ValueError):  # finished meanwhile, another user's, not one of ours
            if time.time() - path.stat().st_mtime > _WRITING and not is_alive(int(owner)):
                path.unlink()


def to_list_column(values: NDArray[Any]) -> pa.ListArray:
    """Return an array (n, m) as a column of n lists."""
    n, m = values.shape
    return pa.ListArray.from_arrays(m * np.arange(n + 1), values.ravel())


def to_matrix(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return a column of n lists of equal length m as an array (n, m)."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), len(flat) // max(1, len(column)))


def cut(
    images: Sequence[Record], digests: Mapping[str, str], folder: Path, size: int = SIZE
) -> Iterator[Shard]:
    """Yield the shards of `images` in `folder`, one folder per teacher and views.

    digests  of the image files, by file name
    """
    for start in range(0, len(images), size):
        part = images[start : start + size]
        content = [(image["id"], digests.get(image["file_name"], "")) for image in part]
        key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
        yield Shard(part, folder / f"{start:09d}-{key}.parquet")


def return_freed_memory() -> None:
    """Return to the system what this process has freed, which Arrow and glibc keep."""
    pa.default_memory_pool().release_unused()
    if hasattr(_C, "malloc_trim"):
        _C.malloc_trim(0)


_C = ctypes.CDLL(None)
_SHARDS_PER_TABLE = 16  # few for memory, many for speed


class Candidates:
    """A teacher's candidates in a set of images, read some shards at a time; scores are cached."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = shards

    @property
    def images(self) -> int:
        """The number of images, those that could not be read included."""
        return sum(len(shard.images) for shard in self.shards)

    def tables(self, *columns: str) -> Iterator[pa.Table]:
        """Yield all candidates in the order of the images, with these `columns` or all."""
        if columns == ("score",):
            yield self._scores_and_refusals[0]
            return
        for start in range(0, len(self.shards), _SHARDS_PER_TABLE):
            shards = self.shards[start : start + _SHARDS_PER_TABLE]
            yield pa.concat_tables([shard.read(list(columns) or None) for shard in shards])
            return_freed_memory()

    def refused(self) -> list[Refusal]:
        """Return the images that could not be read."""
        return self._scores_and_refusals[1]

    @cached_property
    def _scores_and_refusals(self) -> tuple[pa.Table, list[Refusal]]:
        scores, refused = array("d"), list[Refusal]()
        for shard in self.shards:
            table = shard.read(["score"])
            refused += refusals(table)
            scores.frombytes(table["score"].to_numpy().tobytes())
        return pa.table({"score": np.asarray(scores)}), refused
