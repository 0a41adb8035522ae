"""Which images make up which minibatch: labelled and generated as 6 : 4 (section 4)."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Draw:
    """Image `index` of set `source`, 0 labelled, 1 generated, for one `place` of a minibatch."""

    place: int
    source: int
    index: int


class MixedSampler:
    """The whole training as a pure function of (seed, iteration).

    Every place of a minibatch comes from set 0 with probability `share`, else from set 1; each set
    is run through in a fresh random order per epoch. Nothing is remembered between calls, so the
    state that a checkpoint needs is the number of the iteration, and any process can ask for any
    minibatch, or, of several processes that train together, the `part` it is given.
    """

    def __init__(
        self, sizes: tuple[int, ...], share: float, iterations: int, batch: int, seed: int
    ) -> None:
        self.sizes, self.batch, self.seed = sizes, batch, seed
        self.places = range(batch)
        chance = np.random.default_rng([seed, 0]).random((iterations, batch))
        self._sources = (chance >= (share if len(sizes) > 1 else 1.0)).astype(np.int8)
        # Place p of source s is the n-th draw from s: all earlier places of s, counted once here.
        self._before = np.cumsum(self._sources.sum(axis=1)) - self._sources.sum(axis=1)
        self._orders: dict[tuple[int, int], NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self._sources)

    def part(self, number: int, parts: int) -> MixedSampler:
        """Return the same sampler for the places of part `number`; parts are equally large."""
        size = self.batch // parts
        mine = copy(self)
        mine.places = range(number * size, (number + 1) * size)
        return mine

    def __getitem__(self, iteration: int) -> list[Draw]:
        """Return the draws of minibatch `iteration` in their places."""
        generated = int(self._before[iteration])
        counts = [iteration * self.batch - generated, generated]
        draws = []
        for place, source in enumerate(self._sources[iteration].tolist()):
            if place in self.places:
                epoch, turn = divmod(counts[source], self.sizes[source])
                draws.append(Draw(place, source, int(self._order(source, epoch)[turn])))
            counts[source] += 1
        return draws

    def _order(self, source: int, epoch: int) -> NDArray[np.int64]:
        """Return the order of an epoch; the last few are kept, for minibatches that span two."""
        key = (source, epoch)
        if key not in self._orders:
            if len(self._orders) >= 2 * len(self.sizes):
                self._orders.pop(next(iter(self._orders)))
            rng = np.random.default_rng([self.seed, 1, source, epoch])
            self._orders[key] = rng.permutation(self.sizes[source])
        return self._orders[key]
