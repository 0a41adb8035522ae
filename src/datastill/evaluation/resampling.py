"""Families of validation images, which are the independent observations, and their draws."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Record
from datastill.errors import DataError

BLOCK = 2**17  # items x resamples per step: they fit a core's cache


def image_families(records: Sequence[Record], image_ids: Sequence[int]) -> NDArray[np.int64]:
    """Return the number of every image's family, from 0 in the order of their first images."""
    heads = {image["id"]: image.get("family", image["id"]) for image in records}
    numbers: dict[Any, int] = {}
    family = [numbers.setdefault(heads[i], len(numbers)) for i in image_ids]
    return np.array(family, dtype=np.int64)


def family_draws(
    family: NDArray[np.int64], items: int, resamples: int, seed: int
) -> Iterator[NDArray[np.int32]]:
    """Yield how often each image is drawn, (b, i), in blocks that suit so many `items` to weigh.

    family  (i,)  the number of every image's family; images of one family are drawn together
    """
    if not len(family):
        raise DataError("bootstrap: expected images to draw from, found none")
    generator, families = np.random.default_rng(seed), int(family.max()) + 1
    rows = max(1, BLOCK // max(len(family), items))
    for start in range(0, resamples, rows):
        picks = generator.integers(0, families, (min(rows, resamples - start), families))
        drawn = np.stack([np.bincount(p, minlength=families) for p in picks]).astype(np.int32)
        yield np.take(drawn, family, axis=1)
