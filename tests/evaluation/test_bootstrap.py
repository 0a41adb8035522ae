from dataclasses import asdict, replace

import numpy as np
import pytest

from datastill.coco.format import Coco
from datastill.errors import DataError
from datastill.evaluation import bootstrap as intervals
from datastill.evaluation import resampling
from datastill.evaluation.bootstrap import (
    Matches,
    RankedDetections,
    average_precision,
    bootstrap,
    interval,
    match,
    paired_interval,
)
from datastill.evaluation.coco_ap import evaluate

THRESHOLDS = np.linspace(0.5, 0.95, 10)


def assert_same(ours, theirs):
    for name, value in theirs.items():
        assert asdict(ours)[name] == pytest.approx(value, abs=1e-9), name


def found(record, score):
    names = ("image_id", "category_id", "bbox", "keypoints")
    return {**{name: record[name] for name in names}, "score": score}


def repeat(truth, detections, weights):
    """The same set with every image copied as often as it weighs, copies next to each other."""
    copies = {
        image["id"]: [image["id"] * 100 + copy for copy in range(weight)]
        for image, weight in zip(truth.images, weights, strict=True)
    }
    images = [{**image, "id": i} for image in truth.images for i in copies[image["id"]]]
    annotations = [{**a, "image_id": i} for a in truth.annotations for i in copies[a["image_id"]]]
    for number, annotation in enumerate(annotations):
        annotation["id"] = number + 1
    results = [{**d, "image_id": i} for d in detections for i in copies[d["image_id"]]]
    return Coco(images, annotations, truth.categories), results


@pytest.mark.parametrize("task", ["keypoints", "boxes"])
@pytest.mark.parametrize("seed", range(8))
def test_unweighted_every_metric_is_that_of_pycocotools(scene, pycocotools, task, seed):
    truth, detections = scene(seed, ties=seed % 2 == 0, crowd_of=[0, 35, 140][seed % 3])
    matches = match(truth, detections, task)
    assert_same(average_precision(matches), pycocotools(truth, detections, task))
    assert average_precision(matches) == average_precision(matches, np.ones(30, dtype=int))


@pytest.mark.parametrize("task", ["keypoints", "boxes"])
@pytest.mark.parametrize("seed", range(20, 28))
def test_weights_are_copies_of_images(scene, pycocotools, task, seed):
    truth, detections = scene(seed, ties=False, crowd_of=seed % 2 * 110)
    weights = np.random.default_rng(seed).poisson(1.0, 30)
    ours = average_precision(match(truth, detections, task), weights)
    assert_same(ours, pycocotools(*repeat(truth, detections, weights), task))


def test_a_recall_is_reached_as_in_floating_point_for_every_number_of_truths():
    truths = np.arange(1, 3000)
    needed = intervals._needed(truths)
    recalls = np.linspace(0, 1, 101)
    for count, row in zip(truths, needed, strict=True):
        assert (row == np.searchsorted(np.arange(count + 1) / count, recalls)).all()


def test_without_detections_ap_is_zero_and_stays_so(coco, person):
    matches = match(coco(3, [person()]), [], "keypoints")
    assert average_precision(matches).ap == 0
    assert set(bootstrap(matches, 50)[~np.isnan(bootstrap(matches, 50))]) == {0}


def test_without_truth_ap_is_an_error_and_so_is_its_interval(coco, person):
    matches = match(coco(3, []), [found(person(), 0.9)], "boxes")
    with pytest.raises(DataError, match="AP is undefined"):
        average_precision(matches)
    with pytest.raises(DataError, match="no resample has any truth"):
        interval(bootstrap(matches, 20), 3)


def test_two_images_one_missed_give_three_values_one_to_two_to_one(coco, person):
    truth = coco(2, [person(), person(2, number=2)])
    samples = bootstrap(match(truth, [found(person(), 0.9)], "keypoints"), 4000, seed=3)
    values, counts = np.unique(samples.round(6), return_counts=True)
    assert values == pytest.approx([0, 100 * 51 / 101, 100], abs=1e-5)
    assert counts / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_a_category_without_truth_in_a_draw_is_left_out_of_its_mean(scene):
    truth, detections = scene(1, images=4)
    matches = match(truth, detections, "boxes")
    for drawn in intervals._draws([matches], 60, 0):
        for weights, mean in zip(drawn, intervals._mean_ap(matches, drawn), strict=True):
            expected = np.nan
            if sum(areas[0].truths @ weights for areas in matches.ranked):
                expected = average_precision(matches, weights).ap
            assert mean == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_every_draw_has_as_many_images_as_the_set(scene):
    matches = match(*scene(1), "keypoints")
    drawn = np.concatenate(list(intervals._draws([matches], 3000, 0)))
    assert (drawn.sum(axis=1) == 30).all()
    assert drawn.mean(axis=0) == pytest.approx(1, abs=0.1)
    assert drawn.var() == pytest.approx(29 / 30, abs=0.03)


def test_samples_depend_on_the_seed_and_not_on_the_block(scene, monkeypatch):
    matches = match(*scene(1), "keypoints")
    whole = bootstrap(matches, 70, seed=5)
    monkeypatch.setattr(resampling, "BLOCK", 1)
    assert (bootstrap(matches, 70, seed=5) == whole).all()
    assert (bootstrap(matches, 70, seed=6) != whole).any()
    assert (bootstrap(matches, 30, seed=5) == whole[:30]).all()


def test_an_interval_leaves_out_equal_shares_and_what_is_no_number():
    samples = np.random.default_rng(0).permutation([*np.arange(1.0, 1000.0), np.nan])
    assert interval(samples, 30) == pytest.approx((25, 975))
    assert interval(samples, 30, level=0.5) == pytest.approx((250, 750))


def test_a_score_of_100_on_20_images_says_what_20_images_can_tell(coco, person):
    """Clopper and Pearson's bounds of 20 successes in 20 trials are 83.16 % and 100 %."""
    people = [person(number, number=number) for number in range(1, 21)]
    matches = match(coco(20, people), [found(each, 0.9) for each in people], "keypoints")
    low, high = interval(bootstrap(matches, 50), matches.families)
    assert (low, high) == (pytest.approx(83.16, abs=0.01), 100)


@pytest.mark.parametrize(
    ("value", "families", "difference", "expected"),
    [
        (0, 20, False, (0, 16.84)),
        (0, 20, True, (-16.84, 16.84)),
        (95, 20, True, (78.16, 100)),
        (-95, 20, True, (-100, -78.16)),
        (100, 500, False, (99.26, 100)),
        (40, 1, False, (0, 100)),
        (40, 1, True, (-57.5, 100)),
    ],
)
def test_no_interval_has_width_zero_or_leaves_the_scale(value, families, difference, expected):
    nearly = value + np.random.default_rng(0).choice([0, 1e-13], 50)
    for samples in (np.full(50, float(value)), nearly, np.append(nearly, np.nan)):
        ends = interval(samples, families, difference=difference)
        assert ends == pytest.approx(expected, abs=0.01)


def test_a_lower_level_reaches_less_far():
    samples = np.full(9, 100.0)
    assert interval(samples, 20, level=0.5)[0] == pytest.approx(100 * 0.25 ** (1 / 20))


@pytest.mark.parametrize(
    "weights", [np.ones(29, dtype=int), np.full(30, -1), np.full(30, 0.5), np.ones((1, 30), int)]
)
def test_weights_that_count_no_images_are_an_error(scene, weights):
    with pytest.raises(DataError, match="30 whole numbers"):
        average_precision(match(*scene(0), "boxes"), weights)


def test_a_detector_gains_nothing_over_itself(scene):
    matches = match(*scene(2), "keypoints")
    gain, (low, high) = paired_interval(matches, [matches, matches], 50)
    assert (gain, low, high) == (0, -high, pytest.approx(100 * (1 - 0.025 ** (1 / 30))))


def test_a_gain_is_the_difference_of_the_means_over_seeds_on_the_same_draws(scene):
    truth, detections = scene(2)
    thinned = [[d for i, d in enumerate(detections) if i % step] for step in (2, 3, 5)]
    a, b, c = (match(truth, some, "boxes") for some in thinned)
    gain, (low, high) = paired_interval([a, b], c, 200, seed=4)
    aps = [evaluate(truth, some, "boxes").ap for some in thinned]
    assert gain == pytest.approx(aps[2] - (aps[0] + aps[1]) / 2)
    x, y, z = (bootstrap(matches, 200, seed=4) for matches in (a, b, c))
    assert (low, high) == pytest.approx(interval(z - (x + y) / 2, 30, difference=True))
    assert low < gain < high


def test_the_images_of_both_sides_must_be_the_same(scene):
    matches = match(*scene(2), "boxes")
    other = replace(matches, image_ids=matches.image_ids + 1)
    with pytest.raises(DataError, match="the same images"):
        paired_interval(matches, other, 10)


def test_nothing_to_compare_or_draw_from_is_an_error(scene, coco):
    with pytest.raises(DataError, match="empty sequence"):
        paired_interval([], match(*scene(2), "boxes"))
    with pytest.raises(DataError, match="found none"):
        bootstrap(match(coco(0, []), [], "boxes"), 10)


def draw_matches(generator, images, skill):
    """Detectors of `skill` on the same people: some images hard, scores telling of quality."""
    hard, truths = generator.normal(0, 0.08, images), generator.poisson(2.4, images)
    owner = np.repeat(np.arange(images), truths)
    stray = np.repeat(np.arange(images), generator.poisson(1.0, images))
    person = generator.normal(0, 0.1, len(owner))
    return [
        _detector(generator, truths, np.r_[owner, stray], mean + hard[owner] + person)
        for mean in skill
    ]


def _detector(generator, truths, image, quality):
    good = np.clip(quality + generator.normal(0, 0.1, len(quality)), 0, 1)
    good = np.r_[good * (generator.random(len(good)) < 0.85), np.zeros(len(image) - len(good))]
    scores = 4 * good + generator.normal(0, 1, len(good))
    order = np.argsort(-scores)
    correct = good[order] >= THRESHOLDS[:, None]
    curve = RankedDetections(scores[order], image[order], correct, np.zeros_like(correct), truths)
    images = np.arange(len(truths))
    return Matches(images, ("all",), ((curve,),), family=images)


@pytest.mark.slow
def test_intervals_hold_the_true_value_as_often_as_they_say():
    generator = np.random.default_rng(11)
    skill = (0.72, 0.76)
    true_a, true_b = (average_precision(m).ap for m in draw_matches(generator, 300_000, skill))
    repetitions, hits, paired_hits = 600, 0, 0
    for repetition in range(repetitions):
        a, b = draw_matches(generator, 200, skill)
        drawn_a, drawn_b = (bootstrap(matches, 200, repetition) for matches in (a, b))
        low, high = interval(drawn_a, 200)
        hits += low <= true_a <= high
        low, high = interval(
            drawn_b - drawn_a, 200, difference=True
        )  # a paired interval, as shown above
        paired_hits += low <= true_b - true_a <= high
    print(f"coverage {hits / repetitions:.3f}, of gains {paired_hits / repetitions:.3f}")
    assert 0.93 <= hits / repetitions <= 0.97
    assert 0.93 <= paired_hits / repetitions <= 0.97
