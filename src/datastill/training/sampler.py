"""Composition of minibatches: labelled and generated images as 6 : 4 (section 4)."""

from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Draw:
    """Image `index` of set `source`, 0 labelled, 1 generated, for one `slot` of a minibatch."""

    slot: int
    source: int
    index: int


class MixedSampler:
    """The images of a whole training run as a pure function of (seed, iteration).

    Every slot of a minibatch is filled from set 0 with probability `share`, else from set 1; each
    epoch of a set has its own random order. No call depends on another: a checkpoint needs
    only the number of the iteration, and any process can take any minibatch, or its `part` of it.
    """

    def __init__(
        self, sizes: tuple[int, ...], share: float, iterations: int, batch: int, seed: int
    ) -> None:
        self.sizes, self.batch, self.seed = sizes, batch, seed
        self.slots = range(batch)
        chance = np.random.default_rng([seed, 0]).random((iterations, batch))
        self._sources = (chance >= (share if len(sizes) > 1 else 1.0)).astype(np.int8)
        # Draws from set 1 before each iteration: they give every slot its index in its set.
        self._before = np.cumsum(self._sources.sum(axis=1)) - self._sources.sum(axis=1)

    def __len__(self) -> int:
        return len(self._sources)

    def part(self, number: int, parts: int) -> Self:
        """Return the same sampler for the slots of part `number`; parts are equally large."""
        size = self.batch // parts
        part = copy(self)
        part.slots = range(number * size, (number + 1) * size)
        return part

    def __getitem__(self, iteration: int) -> list[Draw]:
        """Return the draws of minibatch `iteration` in the order of its slots."""
        generated = int(self._before[iteration])
        counts = [iteration * self.batch - generated, generated]
        draws = []
        for slot, source in enumerate(self._sources[iteration].tolist()):
            if slot in self.slots:
                epoch, position = divmod(counts[source], self.sizes[source])
                order = _epoch_order(self.seed, source, epoch, self.sizes[source])
                draws.append(Draw(slot, source, int(order[position])))
            counts[source] += 1
        return draws


@lru_cache(maxsize=8)  # minibatches may span two epochs, of either set
def _epoch_order(seed: int, source: int, epoch: int, size: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, 1, source, epoch]).permutation(size)
