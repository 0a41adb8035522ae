"""Which images of one annotated set are val's, which labelled? Parts of an order by chance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import pandas as pd

from datastill.coco.format import Coco, Record
from datastill.coco.subsets import subset
from datastill.images.perceptual_hash import near_duplicates


@dataclass(frozen=True)
class Span:
    """Images number `skip` to `skip + take`, or all from there, of the order that `seed` makes."""

    seed: int
    skip: int
    take: int | None

    def has(self, place: int) -> bool:
        """Return whether the image at `place` of the order is one of them."""
        return self.skip <= place and (self.take is None or place < self.skip + self.take)


def take_span(coco: Coco, span: Span, manifest: pd.DataFrame) -> Coco:
    """Return the images of `coco` in `span`, in their own order, and what is annotated on them.

    Images that show the same, near-duplicates of near-duplicates too, stand together in the order
    and are in the part that the first of them is in: spans that share no place share no picture.
    The order follows from the seed and the names below the folder alone, not from the sequence in
    the file. `manifest` has `digest` and `likeness` by `file_name`; what it lacks is like nothing.
    """
    places = _places(coco.images, span.seed, manifest.set_index("file_name"))
    return subset(coco, [image for image in coco.images if span.has(places[image["file_name"]])])


def _places(images: Sequence[Record], seed: int, known: pd.DataFrame) -> Mapping[str, int]:
    """Return where in the order the first of each image's family stands."""
    names = [str(image["file_name"]) for image in images]
    seen = [name for name in names if name in known.index]
    first = duplicate_groups(known["digest"][seen].tolist(), known["likeness"][seen].tolist())
    heads = dict(zip(seen, (seen[i] for i in first), strict=True))
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(heads.get(name, name), []).append(name)
    ordered = sorted((min(_draw(seed, n) for n in group), group) for group in groups.values())
    places: dict[str, int] = {}
    for _, group in ordered:
        places |= dict.fromkeys(group, len(places))
    return places


def _draw(seed: int, file_name: str) -> str:
    """Return the lot of an image; the folder it is linked in has no say."""
    name = file_name.partition("/")[2]
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogateescape")).hexdigest()


def duplicate_groups(digests: Sequence[str], hashes: Sequence[str]) -> list[int]:
    """Return for every image the first one of those it belongs with: of its bytes, or alike."""
    heads = list(range(len(hashes)))
    same = {digest: i for i, digest in reversed(list(enumerate(digests)))}
    copies = ((same[digest], i) for i, digest in enumerate(digests))
    for i, j in chain(copies, ((i, j) for i, j, _ in near_duplicates(hashes, hashes) if i < j)):
        one, other = sorted((_head(heads, i), _head(heads, j)))
        heads[other] = one
    return [_head(heads, i) for i in range(len(heads))]


def _head(heads: list[int], i: int) -> int:
    while heads[i] != i:
        heads[i] = heads[heads[i]]
        i = heads[i]
    return i
