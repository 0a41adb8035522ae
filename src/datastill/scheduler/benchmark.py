"""Time and memory of a detector on this device: a few timed passes over random images."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from datastill.model.detector import Batch, build_detector, count_parameters
from datastill.model.precision import Choice, best_device, inference_precision
from datastill.project.usage import peak_bytes

_OBJECTS = 4  # on every random image: about COCO's mean over images with people
_PATIENCE = 5.0  # seconds: warming up hardly slows a longer pass


@dataclass(frozen=True)
class Speed:
    """Seconds on this device, the peak of memory in bytes, and the number of parameters."""

    train_pass: float
    single_scale_pass: float
    memory: int
    parameters: int


@dataclass(frozen=True)
class Load:
    """Images of a training pass, all of `size` (height, width), and what to detect in them.

    single_scale  size of an image at inference
    keypoints     of people; 0 for boxes of that many categories
    """

    images: int
    size: tuple[int, int]
    single_scale: tuple[int, int]
    keypoints: int
    categories: int


def probe(backbone: str, load: Load, train_precision: Choice, test_precision: Choice) -> Speed:
    """Time training passes of that `load`, and single-scale inference of boxes.

    The first pass warms up and is not timed, unless it is a long one.
    """
    device = best_device()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    detector = build_detector(backbone, load.keypoints, categories=load.categories).to(device)
    pixels = [torch.rand(3, *load.size, device=device) for _ in range(load.images)]
    image = torch.rand(3, *load.single_scale, device=device)
    batch = Batch(pixels, [_objects(load.keypoints, load.size, device) for _ in pixels])

    def train_pass() -> None:
        with inference_precision(train_precision, device):
            total = sum(detector.train()(batch).values())
        total.backward()

    def detect() -> None:
        with torch.inference_mode(), inference_precision(test_precision, device):
            detector.boxes(*detector.features([image]))

    train_seconds = _seconds(train_pass, device)
    detector.eval()
    test_seconds = _seconds(detect, device)
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else peak_bytes()
    return Speed(train_seconds, test_seconds, memory, count_parameters(detector))


def _objects(keypoints: int, size: tuple[int, int], device: torch.device) -> dict[str, Tensor]:
    extent = torch.tensor(size[::-1], device=device)
    corners = torch.rand(_OBJECTS, 2, device=device) * extent / 2
    points = torch.ones(_OBJECTS, keypoints, 3, device=device)
    points[..., :2] += corners[:, None]
    return {
        "boxes": torch.cat([corners, corners + extent / 3], 1),
        "labels": torch.ones(_OBJECTS, dtype=torch.int64, device=device),
        "keypoints": points,
        "ignored": torch.zeros(0, 4, device=device),
    }


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    """Return the seconds of `work` after warming up; long work is not repeated."""
    for times in (1, 3):
        began = time.perf_counter()
        for _ in range(times):
            work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - began) / times
        if seconds > _PATIENCE:
            break
    return seconds
