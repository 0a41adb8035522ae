"""Expected quality of candidates whose true probabilities are known, and what is said of it."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from datastill.distill.shards import SCHEMA
from datastill.distill.thresholds import Selection, Threshold
from datastill.evaluation.annotation_quality import judge, measure
from datastill.evaluation.expected_quality import (
    Estimate,
    Evidence,
    ExpectedQuality,
    Sample,
    expect,
    judge_sample,
)
from datastill.evaluation.quality_text import expected_card, quality_line, shortfall, shortfalls


def logistic(x):
    return 1 / (1 + np.exp(-x))


def candidates(rng, n, mean, cut=-np.inf, categories=1):
    """Candidates with evidence around `mean`, accepted from `cut`, and whether each is right.

    A category's odds of being right differ by its index.
    """
    values = np.column_stack([np.ones(n), rng.normal(mean, 1.5, n), rng.normal(0, 0.7, n)])
    category = rng.integers(0, categories, n)
    right = rng.random(n) < logistic(values @ [-0.5, 1.0, 1.5] - 1.5 * category)
    return Evidence(values, category, values[:, 1] >= cut), right


def sample(rng, n=500, images=250, mean=0.0, categories=1):
    """A sample whose instances are all candidates' but for every fifth."""
    evidence, right = candidates(rng, n, mean, categories=categories)
    family = rng.integers(0, images, n)
    truth = np.zeros((images, categories))
    np.add.at(truth, (family[right], evidence.category[right]), 1.25)
    ids = [10 * (c + 1) for c in range(categories)]
    return Sample(evidence, right.astype(float), family, truth, ids, images)


def test_precision_is_unbiased_on_other_images_too_and_intervals_cover():
    """The other images' candidates are weaker, so that the sample's own precision is too high."""
    rng, errors, naive, covered = np.random.default_rng(0), [], [], []
    for _ in range(30):
        known = sample(rng)
        others, right = candidates(rng, 300, -1.0, cut=0.0)
        expected, true = expect(known, others, 40), right[others.accepted].mean()
        errors.append(expected.precision - true)
        above = known.evidence.values[:, 1] >= 0.0
        naive.append(known.right[above].mean() - true)
        covered.append(expected.precision_interval[0] <= true <= expected.precision_interval[1])
    assert abs(np.mean(errors)) < 0.02 < 0.04 < np.mean(naive)
    assert np.mean(covered) > 0.85


@pytest.mark.parametrize("seed", range(5))
def test_a_teacher_that_is_seldom_right_is_not_taken_for_one_that_always_is(seed):
    """Keypoints are probable where a candidate is right, and nowhere near certain anywhere."""
    rng = np.random.default_rng(seed)

    def seldom_right(n=1800):
        values = np.column_stack([np.ones(n), rng.normal(-0.3, 0.8, n), rng.normal(-4.3, 0.5, n)])
        right = rng.random(n) < logistic(values @ [18.2, 0.5, 6.0])
        return Evidence(values, np.zeros(n, int), values[:, 1] > 0), right

    evidence, right = seldom_right()
    family = rng.integers(0, 100, len(right))
    known = Sample(evidence, right.astype(float), family, np.full((100, 1), 3.2), [1], 100)
    others, true = seldom_right()
    expected = expect(known, others, 40)
    assert expected.precision == pytest.approx(true[others.accepted].mean(), abs=0.02)
    assert expected.precision_interval[1] < 0.1


def test_recall_counts_what_is_rejected_and_what_has_no_candidate():
    rng, errors, covered = np.random.default_rng(1), [], []
    for _ in range(25):
        others, right = candidates(rng, 400, -0.5, cut=0.0)
        true = right[others.accepted].sum() / (1.25 * right.sum())
        expected = expect(sample(rng), others, 40)
        errors.append(expected.recall - true)
        covered.append(expected.recall_interval[0] <= true <= expected.recall_interval[1])
    assert abs(np.mean(errors)) < 0.02
    assert np.mean(covered) > 0.85


def test_every_category_has_its_own_and_a_rare_one_the_common_estimate():
    rng = np.random.default_rng(2)
    known = sample(rng, 3000, 600, categories=3)
    rare = known.evidence.category == 2
    rare[np.flatnonzero(rare)[0]] = False  # one is left
    kept = Evidence(*(each[~rare] for each in vars(known.evidence).values()))
    few = replace(known, evidence=kept, right=known.right[~rare], family=known.family[~rare])
    others, right = candidates(rng, 3000, 0.0, cut=0.5, categories=3)
    expected = expect(few, others, 40)
    true = [right[others.accepted & (others.category == c)].mean() for c in range(3)]
    estimates = [expected.by_category[number].precision for number in (10, 20, 30)]
    assert estimates[:2] == pytest.approx(true[:2], abs=0.06)
    assert true[2] + 0.1 < estimates[1] < estimates[2] < estimates[0]
    total = expected.by_category.values()
    assert min(e.precision for e in total) < expected.precision < max(e.precision for e in total)


def test_twenty_images_without_an_error_do_not_promise_perfection():
    """Add-one smoothing: of 20 right ones, precision is that of a beta distribution, 21 to 1."""
    values = np.column_stack([np.ones(20), np.full(20, 3.0), np.zeros(20)])
    evidence = Evidence(values, np.zeros(20, int), np.ones(20, bool))
    known = Sample(evidence, np.ones(20), np.arange(20), np.ones((20, 1)), [1], 20)
    many = Evidence(*(np.repeat(each, 500, axis=0) for each in vars(evidence).values()))
    expected = expect(known, many, 600)
    assert expected.precision == pytest.approx(21 / 22, abs=1e-3)
    low, high = expected.precision_interval
    assert low == pytest.approx(0.025 ** (1 / 21), abs=0.03)
    assert 0.99 < high <= 1


def test_images_of_one_family_are_drawn_together():
    rng = np.random.default_rng(3)
    evidence, _ = candidates(rng, 200, 0.0)
    clip = np.repeat(np.arange(10), 20)
    right = (rng.random(10) < 0.5)[clip].astype(float)  # a clip is right or wrong as a whole
    one = Sample(evidence, right, np.arange(200), np.ones((200, 1)), [1], 200)
    clips = replace(one, family=clip, truth=np.full((10, 1), 20.0))
    widths = [np.diff(expect(each, evidence).precision_interval)[0] for each in (one, clips)]
    assert widths[1] > 2 * widths[0]


def test_a_sample_without_candidates_tells_nothing():
    others, _ = candidates(np.random.default_rng(4), 5, 0.0)
    none = Evidence(np.empty((0, 3)), np.empty(0, int), np.empty(0, bool))
    assert (
        expect(Sample(none, np.empty(0), np.empty(0, int), np.ones((3, 1)), [1], 3), others) is None
    )


class Tables:
    """Candidates in memory; one image cannot be read."""

    def __init__(self, records, unreadable=()):
        points = [np.array(r["keypoints"], float).reshape(-1, 3) for r in records]
        probabilities = [np.where(p[:, 2] > 0, 0.3, 0.05) for p in points]
        k = 17
        self._table = pa.table(
            {
                "image_id": [r["image_id"] for r in records],
                "category_id": [r["category_id"] for r in records],
                "score": [r["score"] for r in records],
                "box": [
                    [b[0], b[1], b[0] + b[2], b[1] + b[3]] for b in (r["bbox"] for r in records)
                ],
                "keypoints": [
                    np.column_stack([p[:, :2], q]).ravel().tolist()
                    for p, q in zip(points, probabilities, strict=True)
                ],
                "spread": [[0.0] * k] * len(records),
                "agreeing": [[1] * k] * len(records),
                "views": [1] * len(records),
                "box_spread": [0.0] * len(records),
            },
            schema=SCHEMA,
        )
        self._unreadable = unreadable

    def tables(self, *columns):
        return [self._table.select(list(columns)) if columns else self._table]

    def refused(self):
        return self._unreadable


def selection(threshold):
    keypoint = Threshold(0.1, 0, 0, exhausted=False)
    return Selection(Threshold(threshold, 0, 0, exhausted=False), keypoint)


def test_candidates_are_judged_as_annotations_are_whatever_their_score(coco, person):
    truth = coco(3, [person(), person(2, x=300.0, number=2), person(2, number=3, iscrowd=1)])
    half = [v if i % 3 < 2 or i < 3 * 3 else 0 for i, v in enumerate(person()["keypoints"])]
    records = [
        person(score=0.9),
        person(x=500.0, score=0.2),
        person(2, score=0.4),  # a crowd's: neither right nor wrong
        person(2, x=300.0, score=0.1, keypoints=half),  # too few of its keypoints are kept
    ]
    judged = judge_sample(Tables(records), selection(0.5), truth, "keypoints")
    assert judged.right.tolist() == [1, 0, 0]
    assert judged.evidence.accepted.tolist() == [True, False, False]
    assert judged.family.tolist() == [0, 0, 1]
    assert judged.truth.tolist() == [[1], [1], [0]]
    assert np.exp(judged.evidence.values[0, 1]) == pytest.approx(9)
    assert judged.images == 3


def test_verdicts_agree_with_the_precision_of_all(coco, person):
    truth = coco(2, [person(), person(2, number=2)])
    generated = coco(2, [person(score=0.3), person(x=400.0, score=0.9), person(2, score=0.5)])
    right, counts = judge(generated, truth)
    quality = measure(generated, truth)
    assert right.tolist() == [1, 0, 1]
    assert (np.mean(right), sum(counts.values())) == (quality.precision50, quality.truth)


def test_sentences_say_numbers_and_what_to_do():
    rng = np.random.default_rng(5)
    others, _ = candidates(rng, 50, -3.0)
    expected = expect(sample(rng), others, 20)
    assert expected.precision < 0.5
    assert f"{expected.precision:.2f}" in shortfall(expected, boxes=False)
    assert "train the teacher longer" in shortfall(expected, boxes=False)
    assert "select.instances: prior" in shortfall(expected, boxes=False)
    assert "select.instances: fixed" in shortfall(expected, boxes=True)
    card = {"row": "a", "expected": expected_card(expected, {}), "quality": None}
    assert "by_category" not in card["expected"]
    assert set(expected_card(expected, {10: "cup"})["by_category"]) == {"cup"}
    line = quality_line(card)
    assert line.startswith(f"a: expected precision {expected.precision:.2f} [")
    assert "true" not in line
    true = {"precision50": 0.25, "recall50": None}
    assert quality_line(card | {"quality": true}).endswith("; true precision 0.25, recall none")
    assert "unknown" in quality_line(card | {"expected": None})


def test_a_poor_category_is_named_unless_all_are_poor():
    def estimate(precision):
        return Estimate(precision, (0.1, 0.9), 0.5, (0.1, 0.9))

    names, by_category = {1: "cup", 2: "kite"}, {1: estimate(0.8), 2: estimate(0.2)}
    for precision, sentence in ((0.7, "kite (0.20)"), (0.45, "train the teacher longer")):
        total = ExpectedQuality(precision, (0.4, 0.8), 0.5, (0.4, 0.6), 12, by_category)
        (warning,) = shortfalls(total, names)
        assert sentence in warning
        assert "cup" not in warning
    good = ExpectedQuality(0.7, (0.4, 0.8), 0.5, (0.4, 0.6), 12, {1: estimate(0.2)})
    assert [*shortfalls(good, {})] == []
    assert len([*shortfalls(None, {})]) == 1
