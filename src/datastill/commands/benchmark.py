"""How long does a detector take here? A few passes on made-up images, timed."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from datastill.model.detector import Batch, build_detector, count_parameters
from datastill.model.precision import Choice, inference_precision

_OBJECTS = 4  # on every made-up image: about COCO's mean of people where there are any
_PATIENCE = 5.0  # seconds: warming up is a small part of what takes longer
_TIMES = 3


@dataclass(frozen=True)
class Speed:
    """Seconds on the present device, the most memory that was in use in bytes, parameters."""

    train_pass: float
    plain_image: float
    memory: int
    parameters: int


@dataclass(frozen=True)
class Load:
    """What a training pass holds: so many images of `size` (height, width), and what to find.

    plain       size of an image that is only looked at
    keypoints   of people; 0 for boxes of that many categories
    """

    images: int
    size: tuple[int, int]
    plain: tuple[int, int]
    keypoints: int
    categories: int


def probe(backbone: str, load: Load, precision: Choice, teacher_inference: Choice) -> Speed:
    """Time training passes of that `load`, and plain inference in the precision of `looking`.

    The first pass warms up, unless it takes so long that it has to do.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    detector = build_detector(backbone, load.keypoints, categories=load.categories).to(device)
    pixels = [torch.rand(3, *load.size, device=device) for _ in range(load.images)]
    seen = torch.rand(3, *load.plain, device=device)
    batch = Batch(pixels, [_objects(load.keypoints, load.size, device) for _ in pixels])

    def learn() -> None:
        with inference_precision(precision, device):
            total = sum(detector.train()(batch).values())
        total.backward()

    def look() -> None:
        with torch.inference_mode(), inference_precision(teacher_inference, device):
            detector.boxes(*detector.features([seen]))

    train_pass = _seconds(learn, device)
    detector.eval()
    plain_image = _seconds(look, device)
    return Speed(train_pass, plain_image, _memory(device), count_parameters(detector))


def _memory(device: torch.device) -> int:
    """Return the peak so far: of a GPU what PyTorch took, of a CPU all of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _objects(keypoints: int, size: tuple[int, int], device: torch.device) -> dict[str, Tensor]:
    height, width = size
    corners = torch.rand(_OBJECTS, 2, device=device) * torch.tensor([width, height], device=device)
    boxes = torch.cat([corners / 2, corners / 2 + torch.tensor([width, height]).to(device) / 3], 1)
    points = boxes[:, None, :2].expand(-1, keypoints, -1) + 1
    seen = torch.ones(_OBJECTS, keypoints, 1, device=device)
    labels = torch.ones(_OBJECTS, dtype=torch.int64, device=device)
    return {
        "boxes": boxes,
        "labels": labels,
        "keypoints": torch.cat([points, seen], 2),
        "ignored": boxes[:0],
    }


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    """Return how long `work` takes once it is warm; what takes long is not done again."""
    first = _timed(work, 1, device)
    return first if first > _PATIENCE else _timed(work, _TIMES, device)


def _timed(work: Callable[[], None], times: int, device: torch.device) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / times
