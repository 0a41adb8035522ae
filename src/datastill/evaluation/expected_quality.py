"""Expected precision and recall of generated annotations, from a labelled sample.

The precision on the sample would flatter annotations of harder images. So the probability that a
candidate is right is fitted to the sample as a logistic function of the evidence for it, and then
averaged over the annotations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datastill.coco.format import Coco, Task
from datastill.coco.metadata import build_metadata
from datastill.coco.subsets import subset
from datastill.distill.annotations import generate, with_verdicts
from datastill.distill.shards import Candidates
from datastill.distill.thresholds import Selection, Tables, keypoint_array
from datastill.evaluation.annotation_quality import judge
from datastill.evaluation.bootstrap import interval
from datastill.evaluation.resampling import image_families

RESAMPLES = 300
_STEPS = 25  # of Newton's method at most
_CHUNK = 50_000  # candidates at a time, as there may be many
_CLIP = 1e-4  # of probabilities before logarithms; and of the last step
_RIDGE = 1e-8  # a constant column of the evidence, such as that of one view, then changes nothing

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """Expected precision and recall of annotations at a similarity of 0.5, as fractions.

    The intervals (95 %) are for the true values of these very annotations.
    """

    precision: float
    precision_interval: tuple[float, float]
    recall: float
    recall_interval: tuple[float, float]


@dataclass(frozen=True)
class ExpectedQuality(Estimate):
    """The estimate of all annotations.

    images       of the sample that it is made from
    by_category  estimates by the id of every category with annotations
    """

    images: int
    by_category: Mapping[int, Estimate]


@dataclass(frozen=True)
class Evidence:
    """Candidates, and the evidence that they are right.

    values    (n, 3)  1; logit of the score; that of the mean keypoint probability or, for boxes,
                      the logarithm of the number of views that voted
    category  (n,)    index into the sorted ids of the categories
    accepted  (n,)    whether it is an annotation
    """

    values: Numbers
    category: Integers
    accepted: NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """Labelled images, and a teacher's candidates in them that are right or wrong.

    right       (n,)    1 or 0 for each candidate
    family      (n,)    number of the family of its image
    truth       (f, c)  number of instances by family and category
    categories  (c,)    ids, sorted
    """

    evidence: Evidence
    right: Numbers
    family: Integers
    truth: Numbers
    categories: list[int]
    images: int


def read_evidence(
    candidates: Tables, selection: Selection, images: ArrayLike, categories: Sequence[int]
) -> Evidence:
    """Return the evidence for the candidates in the `images`, ids; `categories` are sorted ids."""
    total, count = sum(map(len, candidates.tables("score"))), 0
    values, category = np.empty((total, 3)), np.empty(total, np.int64)  # filled in place: joining
    accepted = np.empty(total, np.bool_)  # parts would double them
    for table in candidates.tables("image_id", "category_id", "score", "keypoints", "views"):
        inside = np.isin(table["image_id"].to_numpy(), images)
        probabilities, scores = keypoint_array(table)[..., 2], _logit(table["score"].to_numpy())
        views = np.log(table["views"].to_numpy())
        other = _logit(probabilities.mean(axis=1)) if probabilities.size else views
        part = slice(count, count + int(inside.sum()))
        values[part] = np.column_stack([np.ones(len(scores)), scores, other])[inside]
        category[part] = np.searchsorted(categories, table["category_id"].to_numpy()[inside])
        accepted[part] = selection.keeps(table)[inside]
        count = part.stop
    return Evidence(values[:count], category[:count], accepted[:count])


def judge_sample(
    candidates: Candidates, selection: Selection, labelled: Coco, task: Task
) -> Sample:
    """Return the candidates in `labelled`, judged as if every one were annotated.

    Images that could not be read do not count. Raises DataError if a record is malformed.
    """
    unreadable = {refusal.file_name for refusal in candidates.refused()}
    readable = [image for image in labelled.images if image["file_name"] not in unreadable]
    labelled, ids = subset(labelled, readable), [image["id"] for image in readable]
    everything = replace(selection.instance, value=-np.inf)
    whole = replace(selection, instance=everything, by_category={}, ignored=None)
    tables = (with_verdicts(table, whole, "") for table in candidates.tables())
    generated = Coco(readable, [*generate(tables, {})], labelled.categories)
    sigmas = build_metadata(labelled, task).sigmas
    right, counts = judge(generated, labelled, task, sigmas=sigmas)
    families = dict(zip(ids, image_families(readable, ids).tolist(), strict=True))
    categories = sorted(category["id"] for category in labelled.categories)
    truth = np.zeros((len({*families.values()}), len(categories)))
    for (image, category), count in counts.items():
        truth[families[image], categories.index(category)] += count
    family = np.array([families[record["image_id"]] for record in generated.annotations], int)
    evidence, counted = read_evidence(candidates, selection, ids, categories), ~np.isnan(right)
    part = Evidence(*(values[counted] for values in vars(evidence).values()))
    return Sample(part, right[counted], family[counted], truth, categories, len(ids))


def expect(
    sample: Sample, candidates: Evidence, resamples: int = RESAMPLES, seed: int = 0
) -> ExpectedQuality | None:
    """Return the expected quality of the accepted `candidates`; None without any in the sample.

    The instances are estimated, too: all candidates that are probably right, over the share of the
    sample's instances that have a candidate. Each resample draws families with replacement, fits
    anew, and draws which annotations are right. Two more observations, one right and one wrong, are
    spread over the sample, so that no probability is 0 or 1; a resample draws their weights
    (exponential: if all candidates are alike, precision has a beta distribution).
    """
    if not len(sample.right):
        return None
    generator, families = np.random.default_rng(seed), len(sample.truth)
    mean, drawn = _estimate(sample, candidates, np.ones(families), np.ones(2)), []
    for _ in range(resamples):
        picks = generator.integers(0, families, families)
        weights = np.bincount(picks, minlength=families).astype(float)
        prior = generator.exponential(size=2)
        drawn.append(_estimate(sample, candidates, weights, prior, generator))
    samples = np.array(drawn)

    columns = [n for n in range(len(sample.categories)) if not np.isnan(mean[0, n])]
    by_category = {
        sample.categories[n]: _summary(mean[:, n], samples[..., n], families) for n in columns
    }
    total = vars(_summary(mean[:, -1], samples[..., -1], families))
    facts: dict[str, Any] = total | {"images": sample.images, "by_category": by_category}
    return ExpectedQuality(**facts)


def _summary(means: Numbers, samples: Numbers, families: int) -> Estimate:
    """Return precision and recall from `means` (2,), their intervals from `samples` (r, 2)."""
    (precision, recall), intervals = (round(float(mean), 4) for mean in means), []
    for drawn in samples.T:
        low, high = interval(100 * drawn, families)
        intervals.append((round(low / 100, 4), round(high / 100, 4)))
    return Estimate(precision, intervals[0], recall, intervals[1])


def _estimate(
    sample: Sample,
    candidates: Evidence,
    weights: Numbers,
    prior: Numbers,
    generator: np.random.Generator | None = None,
) -> Numbers:
    """Return precision and recall of each category and of all, (2, c + 1), NaN if none is accepted.

    weights  (f,)  of the sample's families
    prior    (2,)  weights of a right and of a wrong observation
    generator      draws which candidates are right; without it, they are so by their probability
    """

    def totals(values: NDArray[Any], category: Integers) -> Numbers:
        sums = np.bincount(category, values, len(sample.categories))
        return np.append(sums, sums.sum())

    accepted, correct, expected = np.zeros((3, len(sample.categories) + 1))
    weight, truth = weights[sample.family], weights @ sample.truth
    slopes, offsets = _fit(sample, weight, prior)
    for start in range(0, len(candidates.category), _CHUNK):
        part = slice(start, start + _CHUNK)
        category, annotated = candidates.category[part], candidates.accepted[part]
        probability = _logistic(candidates.values[part] @ slopes + offsets[category])
        drawn = None if generator is None else generator.random(len(probability)) < probability
        accepted += totals(annotated, category)
        correct += totals((probability if drawn is None else drawn) * annotated, category)
        expected += totals(probability, category)
    detected = totals(weight * sample.right, sample.evidence.category) + prior[0]
    share = detected / (np.append(truth, truth.sum()) + prior.sum())
    with np.errstate(invalid="ignore"):
        recall = correct * share / expected
        precision = correct / accepted
    return np.stack([precision, np.where(accepted, np.minimum(recall, 1), np.nan)])


def _fit(sample: Sample, weight: Numbers, prior: Numbers) -> tuple[Numbers, Numbers]:
    """Return the slopes (3,) and each category's offset (c,) of the log odds of being right.

    Maximum likelihood by Newton's method; offsets have a normal prior of scale 1, so that a
    category that is rare in the sample is judged as the others are.

    weight  (n,)  of the candidates in the sample
    """
    x, category, categories = (
        sample.evidence.values,
        sample.evidence.category,
        sample.truth.shape[1],
    )
    total, target = weight + prior.sum() / len(x), weight * sample.right + prior[0] / len(x)
    slopes, offsets = np.zeros(x.shape[1]), np.zeros(categories)

    def likelihood(slopes: Numbers) -> float:
        return float(target @ (x @ slopes) - total @ np.logaddexp(0, x @ slopes))

    for _ in range(_STEPS):
        p = _logistic(x @ slopes)
        curvature = (x * (total * p * (1 - p))[:, None]).T @ x + _RIDGE * np.eye(len(slopes))
        step = np.clip(np.linalg.solve(curvature, x.T @ (target - total * p)), -2, 2)
        # Where few are right, a whole step may leap past the maximum and never return.
        while np.abs(step).max() >= _CLIP and likelihood(slopes + step) < likelihood(slopes):
            step /= 2
        slopes += step
        if np.abs(step).max() < _CLIP:
            break
    for _ in range(_STEPS):
        p = _logistic(x @ slopes + offsets[category])
        gradient = np.bincount(category, target - total * p, categories) - offsets
        step = gradient / (1 + np.bincount(category, total * p * (1 - p), categories))
        offsets += step
        if np.abs(step).max() < _CLIP:
            break
    return slopes, offsets


def _logit(probability: Numbers) -> Numbers:
    clipped = np.clip(probability, _CLIP, 1 - _CLIP)
    return np.log(clipped / (1 - clipped))


def _logistic(values: Numbers) -> Numbers:
    return 1 / (1 + np.exp(-values))
