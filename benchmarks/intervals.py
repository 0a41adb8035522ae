"""Measure the interval of an AP on a set of COCO val2017's size against pycocotools' accumulate.

A bootstrap with pycocotools alone would call `accumulate` once per resample. Both sides start from
the same matching pass, whose time is printed but counts for neither; the peer is asked for the one
range of areas that an interval needs.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from datastill.coco.format import PERSON, Coco, Record
from datastill.evaluation import bootstrap as intervals
from datastill.evaluation import coco_ap

IMAGES, TRUTHS, DETECTIONS, RESAMPLES = 5_000, 12_000, 15_000, 1_000


def case(generator: np.random.Generator) -> tuple[Coco, list[Record]]:
    """Draw people and detections of them, some good, some poor, some of nothing."""
    owners = np.sort(generator.integers(0, IMAGES, TRUTHS))
    truths = [person(generator, int(owner), number + 1) for number, owner in enumerate(owners)]
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(IMAGES)
    ]
    found = [near(generator, truths[i]) for i in generator.permutation(TRUTHS)[: 3 * TRUTHS // 4]]
    strays = generator.integers(0, IMAGES, DETECTIONS - len(found))
    false = [near(generator, person(generator, int(owner), 0)) for owner in strays]
    for detection in false:
        detection["score"] *= 0.6
    return Coco(images, truths, [PERSON]), found + false


def person(generator: np.random.Generator, image: int, number: int) -> Record:
    """Draw one person with 17 visible keypoints."""
    corner, size = generator.uniform(0, 300, 2), generator.uniform(30, 200, 2)
    points = corner + size * generator.random((17, 2))
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [*corner.tolist(), *size.tolist()],
        "area": float(size.prod() * 0.6),
        "iscrowd": 0,
        "keypoints": np.column_stack([points, np.full(17, 2)]).ravel().tolist(),
        "num_keypoints": 17,
    }


def near(generator: np.random.Generator, truth: Record) -> Record:
    """Draw a detection of `truth`, better where its score is high."""
    error = generator.exponential(0.06)
    points = np.array(truth["keypoints"]).reshape(17, 3)
    points[:, :2] += generator.normal(0, error * np.sqrt(truth["area"]), (17, 2))
    score = float(1 / (1 + np.exp(20 * error - 2 + generator.normal())))
    kept = {name: truth[name] for name in ("image_id", "category_id", "bbox")}
    return {**kept, "keypoints": points.ravel().tolist(), "score": score}


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Run both sides and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round instead of three")
    rounds = 1 if parser.parse_args().quick else 3
    truth, detections = case(np.random.default_rng(0))
    people, found = len(truth.annotations), len(detections)
    print(f"{IMAGES} images, {people} people, {found} detections, {RESAMPLES} resamples")

    start = time.perf_counter()
    matches = intervals.match(truth, detections, "keypoints")
    print(f"matching pass, the same for both sides: {time.perf_counter() - start:.2f} s")
    ours = min(seconds(lambda: intervals.bootstrap(matches, RESAMPLES)) for _ in range(rounds))
    ap = intervals.average_precision(matches).ap
    low, high = intervals.interval(intervals.bootstrap(matches, RESAMPLES), matches.families)
    print(f"ours: AP {ap:.2f} [{low:.2f}, {high:.2f}], {RESAMPLES} resamples in {ours:.2f} s")

    peer = coco_ap.prepared(truth, detections, "keypoints")
    with coco_ap.silence():
        peer.evaluate()
        whole = np.mean([seconds(peer.accumulate) for _ in range(5)])
        peer.params.areaRng = peer.params.areaRng[:1]
        calls = [seconds(peer.accumulate) for _ in range(5 * rounds)]
    theirs = min(np.mean(calls[start : start + 5]) for start in range(0, len(calls), 5)) * RESAMPLES
    print(f"pycocotools: AP {100 * peer.eval['precision'].mean():.2f}")
    print(f"pycocotools: {RESAMPLES} x accumulate as it comes, 3 areas: {whole * RESAMPLES:.1f} s")
    print(f"pycocotools: {RESAMPLES} x accumulate, 1 area: {theirs:.1f} s (from 5 calls)")
    print(f"ratio: {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
