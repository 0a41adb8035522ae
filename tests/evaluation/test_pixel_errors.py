"""Pixel errors, by hand and against plain loops in floating point."""

import math

import numpy as np
import pytest

from datastill.coco.format import PERSON_KEYPOINTS, Coco
from datastill.coco.skeleton import COCO_SIGMAS
from datastill.errors import DataError
from datastill.evaluation.bootstrap import average_precision, bootstrap, match
from datastill.evaluation.pixel_errors import (
    NAMES,
    measure,
    pixel_errors,
    pixel_metrics,
    samples,
)

TRIO = {"id": 1, "name": "trio", "keypoints": ["nose", "mid", "tail"], "skeleton": []}
SIGMAS = [0.1, 0.1, 0.1]


def instance(image_id, points, box=(0, 0, 30, 40), **more):
    """An annotation with `points` (k, 3), in a box with a diagonal of 50 unless told."""
    return {
        "id": 0, "image_id": image_id, "category_id": 1, "bbox": list(box),
        "area": box[2] * box[3], "iscrowd": 0, "keypoints": np.ravel(points).tolist(),
        "num_keypoints": int((np.asarray(points)[:, 2] > 0).sum()), **more,
    }  # fmt: skip


def detection(image_id, points, score):
    keypoints = np.column_stack([points, np.ones(len(points))]).ravel().tolist()
    return {"image_id": image_id, "category_id": 1, "score": score, "keypoints": keypoints}


def trios(images, annotations):
    """COCO content with a category of three keypoints."""
    records = [
        {"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480}
        for i in range(1, images + 1)
    ]
    return Coco(records, [{**a, "id": n} for n, a in enumerate(annotations, 1)], [TRIO])


@pytest.fixture
def by_hand():
    """Image 1: two instances, one of them with one keypoint; image 2: one missed, and a crowd."""
    left = [(10, 10, 2), (20, 10, 1), (0, 0, 0)]
    right = [(0, 0, 0), (110, 10, 2), (0, 0, 0)]
    truth = trios(
        3,
        [
            instance(1, left),
            instance(1, right),
            instance(2, [(10, 10, 2), (20, 20, 2), (30, 30, 2)]),
            instance(3, left, iscrowd=1),
            instance(3, [(0, 0, 0)] * 3),
        ],
    )
    detections = [
        detection(1, [(50, 50), (110, 22), (50, 50)], 0.5),  # right's, 12 px off
        detection(1, [(13, 14), (20, 10), (99, 99)], 0.9),  # left's: 5 px and 0 px off
        detection(1, [(10, 10), (20, 10), (0, 0)], 0.1),  # exact, but left is taken
        detection(3, [(10, 10), (20, 10), (0, 0)], 0.9),  # the crowd's: does not count
    ]
    return truth, detections


def test_the_errors_by_hand(by_hand):
    """Of 6 labelled keypoints 3 are detected, at 5, 0 and 12 px; 5 % of a diagonal is 2.5 px."""
    errors = pixel_errors(*by_hand, sigmas=SIGMAS)
    nan, inf = math.nan, math.inf
    assert errors.squared == pytest.approx(
        np.array([[25, 0, nan], [nan, 144, nan], [inf, inf, inf]]), nan_ok=True
    )
    metrics = pixel_metrics(errors, 50)
    assert {name: metrics[name] for name in NAMES} == {
        "rmse": round(math.sqrt(169 / 3), 2), "median": 5.0,
        "pck05": round(100 / 6, 2), "pck10": round(200 / 6, 2), "detected": round(200 / 3, 2),
    }  # fmt: skip
    assert metrics["by_keypoint"] == {
        "nose": {"rmse": 5.0, "median": 5.0, "pck05": 0.0, "pck10": 50.0, "detected": 50.0},
        "mid": {
            "rmse": round(math.sqrt(72), 2), "median": 6.0, "pck05": 33.33, "pck10": 33.33,
            "detected": 66.67,
        },
        "tail": {"rmse": None, "median": None, "pck05": 0.0, "pck10": 0.0, "detected": 0.0},
    }  # fmt: skip


def test_where_no_oks_tells_them_apart_the_nearer_instance_is_taken():
    near, far = [(400, 400, 2)] * 3, [(0, 0, 2)] * 3
    errors = pixel_errors(
        trios(1, [instance(1, far), instance(1, near)]),
        [detection(1, [(600, 470)] * 3, 0.9)],
        sigmas=[1e-3] * 3,
    )
    assert np.isinf(errors.squared).all(axis=1).tolist() == [True, False]


def test_a_keypoint_exactly_at_the_limit_is_within_it():
    points = [(10, 10, 2), (20, 20, 2), (30, 30, 2)]
    off = detection(1, [(15, 10), (25.1, 20), (30, 32.5)], 0.5)
    errors = pixel_errors(trios(1, [instance(1, points)]), [off], sigmas=SIGMAS)
    metrics = pixel_metrics(errors, 20)
    assert (metrics["pck05"], metrics["pck10"]) == (33.33, 66.67)


def test_without_detections_all_is_missed_and_nothing_is_measured(by_hand):
    metrics = pixel_metrics(pixel_errors(by_hand[0], [], sigmas=SIGMAS), 50)
    assert [metrics[name] for name in NAMES] == [None, None, 0.0, 0.0, 0.0]
    assert metrics["pixel_intervals"]["rmse"] is metrics["pixel_intervals"]["median"] is None
    assert metrics["pixel_intervals"]["detected"][0] == 0


def test_without_labelled_keypoints_there_is_nothing_to_measure():
    metrics = pixel_metrics(pixel_errors(trios(2, []), [], sigmas=SIGMAS), 20)
    assert [metrics[name] for name in NAMES] == [None] * 5
    assert set(metrics["pixel_intervals"].values()) == {None}


def test_a_malformed_detection_is_named(by_hand):
    with pytest.raises(DataError, match=r"detections\[0\].keypoints"):
        pixel_errors(by_hand[0], [{**by_hand[1][0], "keypoints": [1, 2, 3]}], sigmas=SIGMAS)


def offsets(annotation, given):
    """Errors of a detection, or of none, by keypoint: None where it is not labelled."""
    errors = []
    for k in range(0, 51, 3):
        x, y, v = annotation["keypoints"][k : k + 3]
        off = math.dist((x, y), given["keypoints"][k : k + 2]) if given else math.inf
        errors.append(off if v > 0 else None)
    return errors


def rank(annotation, given):
    """OKS and, less being better, the negative mean distance."""
    pairs = zip(offsets(annotation, given), COCO_SIGMAS, strict=True)
    known = [(off, sigma) for off, sigma in pairs if off is not None]
    oks = [math.exp(-(off**2) / (2 * annotation["area"] * (2 * s) ** 2)) for off, s in known]
    return math.fsum(oks) / len(known), -math.fsum(off for off, _ in known) / len(known)


def of_any(others, counted, given):
    """Whether most keypoints lie in a box of `others`, and more than in any counted one."""

    def inside(annotation):
        x, y, width, height = annotation["bbox"]
        places = zip(given["keypoints"][::3], given["keypoints"][1::3], strict=True)
        hits = [x <= a <= x + width and y <= b <= y + height for a, b in places]
        return sum(hits) / len(hits)

    share = max(map(inside, others), default=0)
    return share > 0.5 and share > max(map(inside, counted), default=0)


def slowly(truth, detections):
    """Lists of errors (None: not labelled, inf: missed) and diagonals, by the definition."""
    errors, diagonals = [], []
    cells = dict.fromkeys((a["image_id"], a["category_id"]) for a in truth.annotations)
    for image_id, category in cells:
        wanted = {"image_id": image_id, "category_id": category}.items()
        counted = [a for a in truth.annotations if wanted <= a.items() and not a["iscrowd"]]
        counted = [a for a in counted if any(v > 0 for v in a["keypoints"][2::3])]
        others = [a for a in truth.annotations if wanted <= a.items() and a not in counted]
        free, taken = list(counted), {}
        given = [d for d in detections if wanted <= d.items() and not of_any(others, counted, d)]
        for each in sorted(given, key=lambda d: -d["score"])[: len(counted)]:
            best = max(free, key=lambda annotation: rank(annotation, each))
            free.remove(best)
            taken[best["id"]] = each
        errors += [offsets(a, taken.get(a["id"])) for a in counted]
        diagonals += [math.hypot(*a["bbox"][2:]) for a in counted]
    return errors, diagonals


def summarized(errors, diagonals):
    """All of NAMES from the lists of `slowly`."""
    labelled = [
        (e, diagonal)
        for row, diagonal in zip(errors, diagonals, strict=True)
        for e in row
        if e is not None
    ]
    known = sorted(e for e, _ in labelled if e < math.inf)
    hit = [any(e is not None and e < math.inf for e in row) for row in errors]
    return {
        "rmse": math.sqrt(math.fsum(e * e for e in known) / len(known)),
        "median": (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2,
        "pck05": 100 * sum(e <= 0.05 * d for e, d in labelled) / len(labelled),
        "pck10": 100 * sum(e <= 0.10 * d for e, d in labelled) / len(labelled),
        "detected": 100 * sum(hit) / len(hit),
    }


@pytest.mark.parametrize("seed", range(6))
def test_random_scenes_agree_with_plain_loops(scene, seed):
    truth, detections = scene(seed, ties=seed % 2 == 0)
    errors, (expected, diagonals) = pixel_errors(truth, detections), slowly(truth, detections)
    table = np.array([[math.nan if e is None else e for e in row] for row in expected])
    np.testing.assert_allclose(np.sqrt(errors.squared), table, rtol=1e-12, atol=1e-9)
    for name, value in summarized(expected, diagonals).items():
        assert measure(errors, name) == pytest.approx(value, rel=1e-12), name
    by_keypoint = pixel_metrics(errors, 10)["by_keypoint"]
    assert tuple(by_keypoint) == PERSON_KEYPOINTS
    column = [[row[5]] for row in expected if row[5] is not None]
    boxes = [d for row, d in zip(expected, diagonals, strict=True) if row[5] is not None]
    rounded = {name: round(value, 2) for name, value in summarized(column, boxes).items()}
    assert by_keypoint[PERSON_KEYPOINTS[5]] == pytest.approx(rounded)


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_is_so_many_copies_of_an_image(scene, seed):
    truth, detections = scene(seed)
    errors = pixel_errors(truth, detections)
    weights = np.random.default_rng(seed).poisson(1.0, (4, 30))
    for row, drawn in enumerate(weights):
        copies = np.repeat(np.arange(len(errors.image)), drawn[errors.image])
        distances = [
            [None if math.isnan(e) else math.sqrt(e) for e in errors.squared[n]] for n in copies
        ]
        expected = summarized(distances, errors.diagonal[copies])
        for name in NAMES:
            value = measure(errors, name, weights)[row]
            assert value == pytest.approx(expected[name], rel=1e-9), name


def test_the_draws_are_those_of_ap_whole_families_at_a_time(scene):
    """An AP and a detected share that are both 100 in half of the images move together."""
    truth, _ = scene(2)
    people = [a for a in truth.annotations if not a["iscrowd"] and a["num_keypoints"]]
    one = list({a["image_id"]: {**a, "category_id": 1} for a in people}.values())
    images = [i for i in truth.images if i["id"] in {a["image_id"] for a in one}]
    for n, image in enumerate(images):
        image["family"] = images[n - n % 3]["id"]
    only = Coco(images, one, truth.categories[:1])
    exact = [{**a, "score": 0.9} for a in one if a["image_id"] % 2]
    names = ("image_id", "category_id", "score", "keypoints")
    detections = [{name: d[name] for name in names} for d in exact]
    errors, matches = pixel_errors(only, detections), match(only, detections, "keypoints")
    assert (errors.family == matches.family).all()
    assert errors.families == matches.families < len(images)
    shares, aps = samples(errors, "detected", 200, seed=3), bootstrap(matches, 200, seed=3)
    assert np.ptp(shares) > 20
    # 101 recalls: AP is the share of the people, rounded up to a recall
    assert np.abs(shares - aps).max() < 2
    assert average_precision(matches).ap == pytest.approx(measure(errors, "detected")[0], abs=1)


def test_frames_of_one_recording_tell_no_interval_of_an_error(by_hand):
    truth, detections = by_hand
    for image in truth.images:
        image["family"] = 1
    metrics = pixel_metrics(pixel_errors(truth, detections, sigmas=SIGMAS), 50)
    assert metrics["rmse"] is not None
    assert metrics["pixel_intervals"]["rmse"] is None
    assert metrics["pixel_intervals"]["detected"] == [0, 100]


def test_the_interval_is_that_of_the_samples(scene):
    errors = pixel_errors(*scene(4))
    low, high = pixel_metrics(errors, 500)["pixel_intervals"]["rmse"]
    drawn = np.sort(samples(errors, "rmse", 500))
    assert drawn[10] <= low + 0.01
    assert low < measure(errors, "rmse")[0] < high
    assert high - 0.01 <= drawn[-10]
    assert np.mean((drawn >= low) & (drawn <= high)) == pytest.approx(0.95, abs=0.01)


def test_a_detection_of_an_instance_without_labels_takes_no_other_one():
    labelled = instance(1, [(10, 10, 2)] * 3)
    unlabelled = instance(1, [(0, 0, 0)] * 3, box=(80, 80, 30, 40))
    of_each = [detection(1, [(90, 90)] * 3, 0.9), detection(1, [(13, 14)] * 3, 0.8)]
    errors = pixel_errors(trios(1, [labelled, unlabelled]), of_each, sigmas=SIGMAS)
    np.testing.assert_allclose(np.sqrt(errors.squared), [[5, 5, 5]])


def test_a_detection_outside_every_box_takes_the_labelled_instance():
    truth = trios(1, [instance(1, [(10, 10, 2)] * 3), instance(1, [(0, 0, 0)] * 3)])
    errors = pixel_errors(truth, [detection(1, [(40, 50)] * 3, 0.9)], sigmas=SIGMAS)
    np.testing.assert_allclose(np.sqrt(errors.squared), [[50, 50, 50]])
