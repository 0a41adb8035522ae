"""Multi-transform inference (section 4): boxes from one plain pass, heatmaps from all views."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from datastill.data.images import unit_interval
from datastill.distill.ensemble import decode, probabilities
from datastill.distill.evidence import Evidence, weigh
from datastill.distill.views import View
from datastill.instances import Instances
from datastill.model.detector import Detector
from datastill.model.precision import Precision, inference_precision


@dataclass(frozen=True)
class Inference:
    """How to predict.

    plain   the one view that finds boxes
    views   all that place keypoints
    swap    keypoint partners in a mirror
    pixels  of views that pass the network together, as long as it is more than one
    """

    plain: View
    views: tuple[View, ...]
    swap: tuple[int, ...]
    precision: Precision = "32-true"
    pixels: int = 1_000_000


@dataclass(frozen=True)
class Found:
    """The instances of one image, and how its views agree about them."""

    instances: Instances
    evidence: Evidence


def predict(detector: Detector, images: Sequence[Tensor], inference: Inference) -> list[Instances]:
    """Return the detections of every image (3, h, w) uint8, in its own frame.

    Scores are those of the plain pass; a keypoint's score is its peak's mean probability. An image
    in which the plain pass finds nothing costs no further view.
    """
    return [found.instances for found in look(detector, images, inference)]


@torch.inference_mode()
def look(detector: Detector, images: Sequence[Tensor], inference: Inference) -> list[Found]:
    """Return what `predict` does, with the evidence of the views."""
    device = next(detector.parameters()).device
    images = [image.to(device) for image in images]
    with inference_precision(inference.precision, device):
        plain, seen = _plain_pass(detector, images, inference)
        boxes = {i: instances.boxes for i, instances in enumerate(plain) if len(instances)}
        sums = {i: _Sum(plain[i]) for i in boxes}
        for _, scale in groupby(inference.views, key=lambda view: replace(view, flip=False)):
            sights = [(i, view) for view in scale for i in boxes]
            missing = [sight for sight in sights if sight not in seen]
            seen |= _heatmaps(detector, images, boxes, missing, inference.pixels)
            for i, view in sights:
                heatmaps = probabilities(seen.pop((i, view)))
                sums[i].add(view.heatmaps_back(heatmaps, inference.swap))
    nothing = torch.zeros(0, len(inference.swap), detector.heatmap, detector.heatmap)
    return [
        sums[i].found(len(inference.views)) if i in sums else _Sum(boxes, nothing).found(1)
        for i, boxes in enumerate(plain)
    ]


@torch.inference_mode()
def mean_heatmaps(
    detector: Detector, image: Tensor, boxes: Tensor, inference: Inference
) -> tuple[Tensor, Tensor]:
    """Return the mean heatmaps (n, k, m, m) at `boxes` (n, 4) of one image, and each view's own
    keypoints (views, n, k, 2): what `look` bases its evidence on.
    """
    device = next(detector.parameters()).device
    total, peaks = torch.zeros(()), []
    with inference_precision(inference.precision, device):
        for view in inference.views:
            seen = _heatmaps(detector, [image.to(device)], {0: boxes.to(device)}, [(0, view)], 1)
            heatmaps = view.heatmaps_back(probabilities(seen[0, view]), inference.swap).cpu()
            total = total + heatmaps
            peaks.append(decode(heatmaps, boxes)[..., :2])
    return total / len(inference.views), torch.stack(peaks)


class _Sum:
    """The heatmaps of one image's instances over the views so far, and each view's own peaks."""

    def __init__(self, instances: Instances, heatmaps: Tensor | None = None) -> None:
        self._instances, self._peaks = instances, list[Tensor]()
        self._total = torch.zeros(()) if heatmaps is None else heatmaps

    def add(self, heatmaps: Tensor) -> None:
        self._total = self._total + heatmaps
        self._peaks.append(decode(heatmaps.to(self._boxes), self._boxes)[..., :2])

    def found(self, views: int) -> Found:
        """Return the mean's keypoints."""
        mean = (self._total / views).to(self._boxes)
        keypoints = decode(mean, self._boxes)
        evidence = weigh(self._boxes, keypoints[..., :2], self._peaks)
        return Found(replace(self._instances, keypoints=keypoints), evidence)

    @property
    def _boxes(self) -> Tensor:
        return self._instances.boxes


_Sight = tuple[int, View]  # image number and view


def _plain_pass(
    detector: Detector, images: Sequence[Tensor], inference: Inference
) -> tuple[list[Instances], dict[_Sight, Tensor]]:
    """Return the boxes of every image, in its frame, and the heatmaps that the same features give
    where the plain view is one of the views.
    """
    found: dict[int, Instances] = {}
    seen: dict[_Sight, Tensor] = {}
    every = [(i, inference.plain) for i in range(len(images))]
    for part in _passes(images, every, inference.pixels):
        batch, features = _features(detector, images, part)
        for (i, view), instances in zip(part, detector.boxes(batch, features), strict=True):
            found[i] = replace(instances, boxes=view.boxes_back(instances.boxes, images[i]))
        if inference.plain in inference.views:
            boxes = [view.boxes(found[i].boxes, images[i]) for i, view in part]
            heatmaps = detector.heatmaps(batch, features, boxes) if any(map(len, boxes)) else []
            seen |= zip(part, heatmaps, strict=False)
    return [found[i] for i in range(len(images))], seen


def _heatmaps(
    detector: Detector,
    images: Sequence[Tensor],
    boxes: dict[int, Tensor],
    sights: Sequence[_Sight],
    pixels: int,
) -> dict[_Sight, Tensor]:
    """Return the heatmaps at the `boxes` of every image, which are in its frame, in its views."""
    heatmaps: dict[_Sight, Tensor] = {}
    for part in _passes(images, sights, pixels):
        batch, features = _features(detector, images, part)
        mapped = [view.boxes(boxes[i], images[i]) for i, view in part]
        heatmaps |= zip(part, detector.heatmaps(batch, features, mapped), strict=True)
    return heatmaps


def _features(
    detector: Detector, images: Sequence[Tensor], sights: Sequence[_Sight]
) -> tuple[ImageList, dict[str, Tensor]]:
    return detector.features([unit_interval(view.apply(images[i])) for i, view in sights])


def _passes(
    images: Sequence[Tensor], sights: Sequence[_Sight], pixels: int
) -> Iterator[list[_Sight]]:
    """Yield sights of one size, a view beside its mirror image, so many as have that many pixels.

    Padding would let neighbours change a prediction; so would, in its last bits, a pass of one
    after passes of many, hence parts of nearly equal length.
    """
    groups = defaultdict(list)
    for i, view in sights:
        groups[view.size(images[i])].append((i, view))
    for (height, width), group in groups.items():
        most = max(1, pixels // (height * width))
        for part in np.array_split(np.arange(len(group)), -(-len(group) // most)):
            yield [group[place] for place in part]
