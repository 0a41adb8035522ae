"""Training steps timed against torchvision's fp32 loop, with the same model and batch.

The peer is the same detector with torchvision's own RoIAlign, in fp32, in a loop as its tutorials
write it. Both sides take turns, so that a busy machine slows both; the last line is the ratio of
their median times.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.optim import SGD
from torchvision.ops import MultiScaleRoIAlign

from datastill.coco.format import PERSON_KEYPOINTS
from datastill.coco.skeleton import infer_flip_indices
from datastill.images.geometry import unit_interval
from datastill.model.detector import Batch, Detector, build_detector
from datastill.model.precision import resolve_precision
from datastill.synthetic.keypoint_scenes import draw_people
from datastill.training.dataset import Augmentation, Example, as_target

BATCH = 16
SIZE = (320, 240)


def examples(number: int) -> list[Example]:
    """Return drawn images at the miniature's training scale."""
    augment = Augmentation((112, 128), 240, infer_flip_indices(PERSON_KEYPOINTS))
    made = []
    for index in range(number):
        drawing = draw_people("benchmark", index, 0, "everyday", SIZE)
        image = torch.from_numpy(drawing.image).permute(2, 0, 1)
        target = as_target(drawing.annotations, len(PERSON_KEYPOINTS))
        image, target = augment(image, target, np.random.default_rng(index))
        made.append(Example(index, 0, image, target))
    return made


def our_step(batches: list[list[Example]]) -> Callable[[int], None]:
    """Return one optimisation step as training/loop.py takes it."""
    torch.manual_seed(0)
    fabric = Fabric(devices=1, precision=resolve_precision("auto"))
    detector = build_detector("small", len(PERSON_KEYPOINTS)).train()
    model, optimizer = fabric.setup(detector, SGD(detector.parameters(), lr=0.01, momentum=0.9))

    def step(number: int) -> None:
        batch = batches[number % len(batches)]
        losses = model(Batch([unit_interval(e.image) for e in batch], [e.target for e in batch]))
        optimizer.zero_grad()
        fabric.backward(sum(losses.values()))
        optimizer.step()

    return step


def peer_step(batches: list[list[Example]]) -> Callable[[int], None]:
    """Return one optimisation step in fp32, with torchvision's pooling."""
    torch.manual_seed(0)
    detector = with_torchvision_pooling(build_detector("small", len(PERSON_KEYPOINTS))).train()
    optimizer = SGD(detector.parameters(), lr=0.01, momentum=0.9)

    def step(number: int) -> None:
        batch = batches[number % len(batches)]
        losses = detector.rcnn([unit_interval(e.image) for e in batch], [e.target for e in batch])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()

    return step


def with_torchvision_pooling(detector: Detector) -> Detector:
    """Replace both RoI poolings by torchvision's, of the same level, size and sampling."""
    heads = detector.rcnn.roi_heads
    for name in ("box_roi_pool", "keypoint_roi_pool"):
        ours = getattr(heads, name)
        setattr(heads, name, MultiScaleRoIAlign(["0"], ours.output_size[0], ours.sampling_ratio))
    return detector


def main() -> None:
    """Time both sides in turns and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end within 45 s on 2 cores")
    rounds = 20 if parser.parse_args().quick else 60
    drawn = examples(4 * BATCH)
    batches = [drawn[i : i + BATCH] for i in range(0, len(drawn), BATCH)]
    sides = {"ours": our_step(batches), "torchvision fp32": peer_step(batches)}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-4, rounds):
        for name, step in sides.items():
            began = time.perf_counter()
            step(number)
            if number >= 0:
                seconds[name].append(time.perf_counter() - began)
    ours, peer = (statistics.median(times) for times in seconds.values())
    print(
        f"precision {resolve_precision('auto')}, {torch.get_num_threads()} threads, batch {BATCH}"
    )
    for name, times in seconds.items():
        print(f"{name}: median {statistics.median(times):.3f} s, best {min(times):.3f} s")
    print(f"ratio: {peer / ours:.2f}")


if __name__ == "__main__":
    main()
