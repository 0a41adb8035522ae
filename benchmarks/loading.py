"""Loading, decoding and augmentation of images, timed against torchvision's own transforms.

The peer is `CocoDetection` with transforms v2 at Mask R-CNN's scales, boxes and labels alone, as
those transforms have no keypoints; ours are whole examples. Both have as many loading processes as
there are cores, and end where a trainer takes over: the peer's images in float32, ours as bytes,
which our trainer converts to float32 on the device. A third line times ours with that conversion
in this process. They take turns, so that a busy machine slows all; the last line is
the ratio of their median times.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2
from torchvision.transforms import v2

from datastill.coco.format import Coco, read_coco
from datastill.coco.normalize import learned_categories, normalize
from datastill.coco.skeleton import infer_flip_indices
from datastill.images.folders import missing_images
from datastill.images.geometry import unit_interval
from datastill.sources.synthetic_sets import DrawnSet, RenderSettings, draw_set
from datastill.training.dataset import Augmentation, Minibatches
from datastill.training.sampler import MixedSampler

BATCH = 8
SHORT_SIDES, LONG_SIDE = (640, 800), 1333


def our_loader(root: Path, coco: Coco, workers: int) -> DataLoader:
    """Return minibatches as the trainer asks for them."""
    coco, _ = normalize(coco, *learned_categories(coco, "keypoints"))
    iterations = len(coco.images) // BATCH
    sampler = MixedSampler((len(coco.images),), 1.0, iterations, BATCH, seed=0)
    augmentation = Augmentation(SHORT_SIDES, LONG_SIDE, infer_flip_indices(coco.keypoint_names()))
    examples = Minibatches([coco], root, sampler, augmentation)
    return DataLoader(examples, batch_size=None, num_workers=workers)


def peer_loader(root: Path, annotations: Path, workers: int) -> DataLoader:
    """Return torchvision's data set and transforms, as its detection tutorials combine them."""
    low, high = SHORT_SIDES
    transforms = v2.Compose(
        [
            v2.ToImage(),
            v2.RandomHorizontalFlip(),
            v2.RandomShortestSize(list(range(low, high + 1)), LONG_SIDE, antialias=True),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    images = CocoDetection(str(root), str(annotations), transforms=transforms)
    wrapped = wrap_dataset_for_transforms_v2(images, target_keys=["boxes", "labels"])
    return DataLoader(
        wrapped, BATCH, shuffle=True, num_workers=workers, collate_fn=list, drop_last=True
    )


def drawn(folder: Path, images: int) -> tuple[Path, Path]:
    """Draw images of COCO's commonest size; return their root and their annotations."""
    settings = RenderSettings(folder, (640, 480))
    benchmark = DrawnSet(1, "benchmark", images, "everyday", "benchmark", 0)
    coco = draw_set(benchmark, settings, lambda _: None)
    path = folder / "annotations.json"
    path.write_text(json.dumps(vars(coco)))
    return folder, path


def load_all(loader: DataLoader, finish: Callable[[Any], Tensor]) -> float:
    """Return how long it takes until every image has been there, `finish`ed."""
    began = time.perf_counter()
    for batch in loader:
        for item in batch:
            finish(item)
    return time.perf_counter() - began


def measure(root: Path, annotations: Path, rounds: int) -> None:
    """Load all images in turns and print what was measured."""
    coco, workers = read_coco(annotations), os.cpu_count() or 1
    if lost := missing_images(root, coco):
        raise SystemExit(f"{root}: {len(lost)} images are not there, such as {lost[0]}")
    ours, peer = our_loader(root, coco, workers), peer_loader(root, annotations, workers)
    sides = {
        "ours": (ours, lambda example: example.image),
        "torchvision": (peer, lambda item: item[0]),
        "ours, float32 here": (ours, lambda example: unit_interval(example.image)),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, rounds):
        for name, side in sides.items():
            took = load_all(*side)
            if number >= 0:
                times[name].append(took)
    images = len(coco.images) // BATCH * BATCH
    print(f"{images} images, {workers} processes, short side {SHORT_SIDES[0]} to {SHORT_SIDES[1]}")
    for name, taken in times.items():
        print(f"{name}: median {images / statistics.median(taken):.1f} images/s")
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"ratio: {medians['torchvision'] / medians['ours']:.2f}")


def main() -> None:
    """Measure on the images named, or on drawn ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end within 45 s on 2 cores")
    parser.add_argument("--images", type=Path, help="a folder of COCO's images, else drawn ones")
    parser.add_argument("--annotations", type=Path, help="their person_keypoints JSON")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else 9
    if arguments.images:
        measure(arguments.images, arguments.annotations, rounds)
        return
    with tempfile.TemporaryDirectory() as scratch:
        measure(*drawn(Path(scratch), 96), rounds)


if __name__ == "__main__":
    main()
