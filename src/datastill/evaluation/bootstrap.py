"""Bootstrap intervals of AP over the images of the validation set, from one matching pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Coco, Record
from datastill.errors import DataError
from datastill.evaluation.coco_ap import AveragePrecision, prepared, silence, summarize

RECALLS = np.linspace(0, 1, 101)  # COCO's recall thresholds
ROUNDING = 1e-9  # percent: samples this close are the same
BLOCK = 2**17  # detections x resamples per step: they fit a core's cache


@dataclass(frozen=True)
class RankedDetections:
    """The detections of one category in one range of areas, best first, and their matches.

    scores   (d,)    descending, in pycocotools' order where tied
    image    (d,)    index into `Matches.image_ids`
    correct  (t, d)  matches counted truth at IoU threshold t
    ignored  (t, d)  neither correct nor false: matches ignored truth, or none and its area is
                     outside the range
    truths   (i,)    number of counted truths of every image
    """

    scores: NDArray[np.float64]
    image: NDArray[np.int64]
    correct: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    truths: NDArray[np.int64]

    @cached_property
    def steps(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]]:
        """Starts and ends (exclusive) of the runs of correct detections, and the ignored ones.

        One entry per threshold. Within a run precision only rises, so only its end counts.
        """
        edges = [np.flatnonzero(np.diff(row, prepend=False, append=False)) for row in self.correct]
        ignored = [np.flatnonzero(row) for row in self.ignored]
        return [(e[::2], e[1::2], skipped) for e, skipped in zip(edges, ignored, strict=True)]


@dataclass(frozen=True)
class Matches:
    """Detections matched with the truth.

    image_ids  (i,) ascending
    areas      names of the ranges of areas, "all" first
    ranked     per category and area
    family     (i,) number of the family of every image: frames of one video, near-duplicates
    """

    image_ids: NDArray[Any]
    areas: tuple[str, ...]
    ranked: tuple[tuple[RankedDetections, ...], ...]
    family: NDArray[np.int64]

    @property
    def families(self) -> int:
        """The number of families: of independent observations."""
        return int(self.family.max(initial=-1)) + 1


def match(
    truth: Coco, detections: Sequence[Record], task: str, *, sigmas: Sequence[float] | None = None
) -> Matches:
    """Match `detections` with `truth` once, by pycocotools; arguments and errors of `evaluate`.

    Images with the same `family` in their records are one family, others each their own.
    """
    evaluation = prepared(truth, detections, task, sigmas=sigmas)
    with silence():
        evaluation.evaluate()
    images, areas = evaluation.params.imgIds, tuple(evaluation.params.areaRngLbl)
    cells = iter(evaluation.evalImgs)  # category by category, area by area, image by image
    thresholds = len(evaluation.params.iouThrs)
    ranked = [
        tuple(_rank([next(cells) for _ in images], thresholds) for _ in areas)
        for _ in evaluation.params.catIds
    ]
    return Matches(np.asarray(images), areas, tuple(ranked), number_families(truth.images, images))


def number_families(records: Sequence[Record], image_ids: Sequence[int]) -> NDArray[np.int64]:
    """Return the number of each image's family: from 0, in the order of their first images."""
    heads = {image["id"]: image.get("family", image["id"]) for image in records}
    numbers: dict[Any, int] = {}
    family = [numbers.setdefault(heads[i], len(numbers)) for i in image_ids]
    return np.array(family, dtype=np.int64)


def _rank(cells: list[dict[str, Any] | None], thresholds: int) -> RankedDetections:
    present = [(index, cell) for index, cell in enumerate(cells) if cell is not None]
    truths = np.zeros(len(cells), dtype=np.int64)
    for index, cell in present:
        truths[index] = np.count_nonzero(cell["gtIgnore"] == 0)
    scores = np.concatenate([[], *(cell["dtScores"] for _, cell in present)])
    image = np.repeat([i for i, _ in present], [len(cell["dtScores"]) for _, cell in present])
    matched, ignored = (
        np.hstack([np.zeros((thresholds, 0), dtype=bool), *(cell[key] != 0 for _, cell in present)])
        for key in ("dtMatches", "dtIgnore")
    )
    order = np.argsort(-scores, kind="mergesort")  # as pycocotools, down to the order of ties
    return RankedDetections(
        scores[order],
        image.astype(np.int64)[order],
        np.ascontiguousarray((matched & ~ignored)[:, order]),
        np.ascontiguousarray(ignored[:, order]),
        truths,
    )


def average_precision(
    matches: Matches, weights: NDArray[np.integer[Any]] | None = None
) -> AveragePrecision:
    """Return the AP with each image counted `weights` (i,) times; without weights, pycocotools'.

    Raises DataError if `weights` are not one whole number >= 0 per image, or leave no truth.
    """
    images = len(matches.image_ids)
    chosen = np.ones(images, dtype=np.int64) if weights is None else np.asarray(weights)
    if chosen.shape != (images,) or chosen.dtype.kind not in "iu" or (chosen < 0).any():
        raise DataError(
            f"weights: expected {images} whole numbers >= 0, one per image, "
            f"found shape {chosen.shape} of {chosen.dtype}"
        )
    rows = [[_precisions(ranked, chosen[None])[0] for ranked in areas] for areas in matches.ranked]
    table = np.array(rows).reshape(len(rows), len(matches.areas), -1)
    return summarize(np.moveaxis(table, -1, 0), matches.areas)


def bootstrap(matches: Matches, resamples: int = 1000, seed: int = 0) -> NDArray[np.float64]:
    """Return AP in percent of `resamples` draws of the families with replacement, (resamples,).

    Images of one family are drawn together. AP is NaN for a draw without any truth.
    """
    draws = _draws([matches], resamples, seed)
    return np.concatenate([_mean_ap(matches, drawn) for drawn in draws])


def interval(
    samples: NDArray[np.float64], families: int, level: float = 0.95, *, difference: bool = False
) -> tuple[float, float]:
    """Return the percentile interval that holds the share `level` of `samples`, NaN left out.

    Where all samples agree, at a score of 100 say, it reaches as far to both sides as the exact
    binomial bound of so many `families` (Clopper and Pearson 1934), but not beyond 0 and 100 or, of
    a `difference`, -100 and 100.

    In simulations of AP on 200 to 400 images, 95 % intervals hold the true value 93.4 to 95 % of
    the time, and miss on the high side: the envelope inflates AP on few images. Correcting that
    bias (basic, BC) balanced the misses of strong detectors, not those of weak ones. Of drawn
    clips of four frames, 100 give 94.4 % (74 % if images are drawn on their own), 50 give 94.6 %,
    20 give 93.5 %, but 10 give 89 % and 5 give 84 %.
    Raises DataError if no sample is a number.
    """
    defined = samples[~np.isnan(samples)]
    if not len(defined):
        raise DataError("interval: no resample has any truth; annotate more images")
    # "weibull" has unbiased tails; numpy's default covers 0.6 % less at 300 resamples
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2], method="weibull")
    if high - low < ROUNDING:
        reach = 100 * (1 - ((1 - level) / 2) ** (1 / families))
        low, high = max(low - reach, -100 if difference else 0), min(high + reach, 100)
    return float(low), float(high)


def paired_interval(
    a: Matches | Sequence[Matches],
    b: Matches | Sequence[Matches],
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, tuple[float, float]]:
    """Return mean AP of `b` minus mean AP of `a`, in percent, and its interval.

    Several Matches per side are several training seeds. Each resample is of the same images for
    all. Raises DataError if their images or families differ.
    """
    before, after = _several(a), _several(b)
    once = np.ones((1, len(before[0].image_ids)), dtype=np.int32)
    draws = [once, *_draws([*before, *after], resamples, seed)]
    gains = np.concatenate(
        [_mean_over(after, drawn) - _mean_over(before, drawn) for drawn in draws]
    )
    return float(gains[0]), interval(gains[1:], before[0].families, level, difference=True)


def _several(matches: Matches | Sequence[Matches]) -> list[Matches]:
    several = [matches] if isinstance(matches, Matches) else list(matches)
    if not several:
        raise DataError("paired interval: expected Matches on both sides, found an empty sequence")
    return several


def _mean_over(seeds: list[Matches], drawn: NDArray[np.int32]) -> NDArray[np.float64]:
    return np.mean([_mean_ap(matches, drawn) for matches in seeds], axis=0)


def _draws(many: list[Matches], resamples: int, seed: int) -> Iterator[NDArray[np.int32]]:
    ids, family, families = many[0].image_ids, many[0].family, many[0].families
    for other in many[1:]:
        if not np.array_equal(ids, other.image_ids):
            raise DataError(
                f"paired interval: expected the same images on both sides, found {len(ids)} and "
                f"{len(other.image_ids)} with {len(np.setxor1d(ids, other.image_ids))} not shared"
            )
        if not np.array_equal(family, other.family):
            raise DataError(
                f"paired interval: expected the same families on both sides, found {families} and "
                f"{other.families}, or others; match both with one val"
            )
    generator = np.random.default_rng(seed)
    if not len(ids):
        raise DataError("bootstrap: expected images to draw from, found none")
    widest = max([len(ids), *(len(areas[0].image) for m in many for areas in m.ranked)])
    rows = max(1, BLOCK // widest)
    for start in range(0, resamples, rows):
        picks = generator.integers(0, families, (min(rows, resamples - start), families))
        drawn = np.stack([np.bincount(p, minlength=families) for p in picks]).astype(np.int32)
        yield np.take(drawn, family, axis=1)


def _mean_ap(matches: Matches, weights: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return AP in percent over all areas for every row of `weights` (b, i), (b,)."""
    tables = np.array([_precisions(areas[0], weights).mean(axis=1) for areas in matches.ranked])
    defined = ~np.isnan(tables)
    with np.errstate(invalid="ignore"):
        return 100 * np.where(defined, tables, 0).sum(axis=0) / defined.sum(axis=0)


def _precisions(ranked: RankedDetections, weights: NDArray[Any]) -> NDArray[np.float64]:
    """Return AP in [0, 1] for every row of `weights` (b, i) and threshold, (b, t); NaN: no truth.

    A weight stands for adjacent copies of an image, also among ties with other images: copies of a
    correct detection prolong a run, those of a false one leave recall, so one step per run is
    exact. (Of ties within an image, pycocotools would take copied files copy by copy instead.)
    """
    truths = weights @ ranked.truths
    needed = _needed(truths)
    total = _sums(weights, ranked.image)
    precisions = np.empty((len(weights), len(ranked.steps)))
    for t, (starts, ends, ignored) in enumerate(ranked.steps):
        counted = np.take(total, ends, axis=1)
        gained = counted - np.take(total, starts, axis=1)
        if len(ignored):
            before = np.searchsorted(ignored, ends)
            counted -= np.take(_sums(weights, ranked.image[ignored]), before, axis=1)
        precisions[:, t] = _envelope_mean(gained, counted, needed)
    precisions[truths == 0] = np.nan
    return precisions


def _sums(weights: NDArray[Any], image: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the weight of the first 0, 1, ... d detections, which are on `image`, (b, d + 1)."""
    sums = np.zeros((len(weights), len(image) + 1), dtype=np.int32)
    np.cumsum(np.take(weights, image, axis=1), axis=1, out=sums[:, 1:])
    return sums


def _needed(truths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the correct detections needed for each recall in floating point, (b, 101)."""
    some = np.maximum(truths, 1)[:, None]
    needed = np.ceil(RECALLS * some)
    needed -= (needed - 1) / some >= RECALLS
    needed += needed / some < RECALLS
    return needed.astype(np.int64)


def _envelope_mean(
    gained: NDArray[np.int32], counted: NDArray[np.int32], needed: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the mean over recalls of the best precision at or beyond each of them, (b,).

    gained, counted  (b, runs)  weight of each run of correct detections; of all up to its end
    needed           (b, 101)   correct detections that reach each recall
    """
    rows, runs = gained.shape
    reached = np.cumsum(gained, axis=1, dtype=np.int32)
    precision = np.zeros((rows, runs + 1))  # the last column: a recall never reached
    np.divide(reached, counted + np.spacing(1), out=precision[:, :-1])
    lift = (np.arange(rows) * (needed.max() + 2))[:, None]  # one search for all rows
    first = np.searchsorted((reached + lift).ravel(), needed + lift)
    first += np.arange(rows)[:, None]  # one extra column per row passed
    best = np.maximum.reduceat(precision.ravel(), first.ravel()).reshape(first.shape)
    return np.maximum.accumulate(best[:, ::-1], axis=1).mean(axis=1)
