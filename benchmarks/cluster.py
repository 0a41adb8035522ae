"""Speed of two workers of a Ray cluster against one, on one machine.

The peers are the local engine with one thread, as much as each worker has, and with all threads.
The same images, weights and 18 views for all, shards of eight images; every side starts with an
empty folder, and the candidates that it writes are compared byte for byte. What a side needs until
its first shard is there (a cluster, its workers and their imports) is reported separately; the
rates are those of the images after it. The last line is the ratio of two workers to one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from datastill.coco.format import PERSON_KEYPOINTS
from datastill.coco.skeleton import infer_flip_indices
from datastill.distill.candidates import Teacher, find_candidates
from datastill.distill.ray_engine import ActorSpec, find_on_cluster
from datastill.distill.shards import Shard, cut
from datastill.inference.views import Inference, View, all_views
from datastill.model.checkpoint import load_detector
from datastill.model.precision import resolve_precision
from datastill.sources.synthetic_sets import DrawnSet, RenderSettings, draw_set

VIEWS = all_views([64 + 16 * i for i in range(9)], 360, flip=True)
PARTNERS = infer_flip_indices(PERSON_KEYPOINTS)
HOW = Inference(View(128, 360), VIEWS, PARTNERS, resolve_precision("auto"))
SHARD = 8

Find = Callable[[list[Shard], Callable[[int], None]], None]


def rate(find: Find, shards: list[Shard]) -> tuple[float, float]:
    """Return images per second after the first shard, and the seconds until it was there."""
    times = [time.perf_counter()]
    find(shards, lambda images: times.append(time.perf_counter()))
    images = sum(len(shard.images) for shard in shards[1:])
    return images / (times[-1] - times[1]), times[1] - times[0]


def local(weights: Path, root: Path, threads: int) -> Find:
    """Return how the engine of this machine finds candidates with so many threads."""

    def find(shards: list[Shard], advance: Callable[[int], None]) -> None:
        torch.set_num_threads(threads)
        detector, _ = load_detector(weights)
        find_candidates(Teacher(detector, HOW), shards, root, advance)

    return find


def main() -> None:
    """Time all sides one after the other and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="of a trained row with the backbone small")
    parser.add_argument("--images", type=int, default=240)
    arguments = parser.parse_args()
    weights, threads = arguments.weights.absolute(), torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        drawn = DrawnSet(1, "benchmark", arguments.images, "everyday", "benchmark", 0)
        images = draw_set(drawn, RenderSettings(root, (320, 240)), lambda _: None).images
        actor = ActorSpec(weights, root, HOW, threads=1)
        sides: dict[str, Find] = {
            "one process, one thread": local(weights, root, 1),
            f"one process, {threads} threads": local(weights, root, threads),
            "Ray, a worker per core, one thread each": lambda shards, advance: find_on_cluster(
                actor, shards, advance
            ),
        }
        rates, written = [], []
        for number, (name, find) in enumerate(sides.items()):
            shards = list(cut(images, {}, root / str(number), SHARD))
            images_per_second, first = rate(find, shards)
            rates.append(images_per_second)
            written.append([shard.path.read_bytes() for shard in shards])
            print(f"{name}: {images_per_second:.2f} images/s, first shard after {first:.1f} s")
    print(f"the cluster's bytes are those of one thread: {written[2] == written[0]}")
    print(f"ratio to all threads: {rates[2] / rates[1]:.2f}")
    print(f"ratio: {rates[2] / rates[0]:.2f}")


if __name__ == "__main__":
    main()
