"""Disjoint splits of one annotated set, in a seeded random order."""

import hashlib
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import pandas as pd

from datastill.coco.format import Coco
from datastill.coco.subsets import subset
from datastill.errors import DataError
from datastill.images.folders import natural_order
from datastill.images.perceptual_hash import near_duplicates


@dataclass(frozen=True)
class Span:
    """Images number `skip` to `skip + take`, or all from `skip`, of the order that `seed` draws.

    block  start and end of the images in the natural order of their names that are ordered so
    """

    seed: int
    skip: int
    take: int | None
    block: Sequence[int] | None = None


def take_span(coco: Coco, span: Span, manifest: pd.DataFrame) -> Coco:
    """Return the images of `coco` in `span`, in their own order, and their annotations.

    Near-duplicates, also of near-duplicates, share the position of the first of them in the order:
    spans that share no position share no picture. The order depends only on the seed and the names
    below the folder, not on the sequence in the file. `manifest` has `digest` and `likeness` by
    `file_name`; an image that it lacks has no duplicates. Within a block each image has a position
    of its own. Raises DataError if the block reaches beyond the images.
    """
    names = [str(image["file_name"]) for image in coco.images]
    if span.block:
        positions = _positions_in_block(names, span.seed, span.block)
    else:
        positions = _positions(names, span.seed, manifest.set_index("file_name"))
    end = math.inf if span.take is None else span.skip + span.take
    taken = [i for i in coco.images if span.skip <= positions.get(i["file_name"], -1) < end]
    return subset(coco, taken)


def _positions_in_block(names: Sequence[str], seed: int, block: Sequence[int]) -> Mapping[str, int]:
    start, end = block
    if not start < end <= len(names):
        raise DataError(
            f"block [{start}, {end}]: expected two ascending numbers up to {len(names):,}, the "
            "number of images"
        )
    inside = sorted(names, key=natural_order)[start:end]
    return {name: i for i, name in enumerate(sorted(inside, key=partial(_draw, seed)))}


def _positions(names: Sequence[str], seed: int, known: pd.DataFrame) -> Mapping[str, int]:
    """Return the position in the order of the first of each image's duplicates."""
    listed = [name for name in names if name in known.index]
    first = duplicate_groups(known["digest"][listed].tolist(), known["likeness"][listed].tolist())
    heads = dict(zip(listed, (listed[i] for i in first), strict=True))
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(heads.get(name, name), []).append(name)
    ordered = sorted((min(_draw(seed, n) for n in group), group) for group in groups.values())
    positions: dict[str, int] = {}
    for _, group in ordered:
        positions |= dict.fromkeys(group, len(positions))
    return positions


def _draw(seed: int, file_name: str) -> str:
    """Return an image's random draw, independent of the folder it is linked in."""
    name = file_name.partition("/")[2]
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogateescape")).hexdigest()


def duplicate_groups(
    digests: Sequence[str], hashes: Sequence[str], videos: Sequence[Hashable] = ()
) -> list[int]:
    """Return for every image the first of its group: those of equal bytes or near-duplicates.

    If `videos` are given, those of one video, not None, are a group as well.
    """
    heads = list(range(len(hashes)))
    near = ((i, j) for i, j, _ in near_duplicates(hashes, hashes) if i < j)
    for i, j in chain(_equal(digests), _equal(videos), near):
        one, other = sorted((_head(heads, i), _head(heads, j)))
        heads[other] = one
    return [_head(heads, i) for i in range(len(heads))]


def _equal(values: Sequence[Hashable]) -> Iterator[tuple[int, int]]:
    """Yield every index, after the first that has the same value; None equals nothing."""
    first: dict[Hashable, int] = {}
    for i, value in enumerate(values):
        if value is not None:
            yield first.setdefault(value, i), i


def _head(heads: list[int], i: int) -> int:
    while heads[i] != i:
        heads[i] = heads[heads[i]]
        i = heads[i]
    return i
