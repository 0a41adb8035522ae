"""Families of images: one observation each, such as a clip, near-duplicates, seconds of a video."""

from collections import Counter
from collections.abc import Collection, Sequence
from math import ceil

import pandas as pd

from datastill.coco.format import Coco
from datastill.images.folders import natural_order
from datastill.images.recordings import alike, recorded_groups


def mark_families(coco: Coco, manifest: pd.DataFrame) -> Coco:
    """Return `coco`, where images of a family of several have the first one's id as `family`.

    A family are images of equal bytes, near-duplicates and those with the same `video`, also
    through other images. Where most of `coco` is one recording, that would leave a single
    observation: there families are blocks of time instead, as in a block bootstrap.
    `manifest` has `digest` and `likeness` by `file_name`.
    """
    first = alike(coco, manifest)
    if recorded := recorded_groups(coco, first):
        first = _blocks_of_time(coco, first, recorded)
    sizes = Counter(first)
    images = [
        {**image, "family": coco.images[head]["id"]} if sizes[head] > 1 else image
        for image, head in zip(coco.images, first, strict=True)
    ]
    return Coco(images, coco.annotations, coco.categories)


def _blocks_of_time(coco: Coco, groups: Sequence[int], recorded: Collection[int]) -> list[int]:
    """Return for every image the first of its block in the natural order of the file names.

    n images make blocks of about n^(1/3) each (Hall, Horowitz and Jing 1995, for a variance): 4 of
    46. Other groups than the `recorded` ones stay whole, in the block of their first image.
    """
    count = len(groups)
    names = [image["file_name"] for image in coco.images]
    ordered = sorted(range(count), key=lambda i: natural_order(names[i]))
    rank = {i: place for place, i in enumerate(ordered)}
    blocks = ceil(count / round(count ** (1 / 3)))
    heads: dict[int, int] = {}
    return [
        heads.setdefault(rank[i if group in recorded else group] * blocks // count, i)
        for i, group in enumerate(groups)
    ]
