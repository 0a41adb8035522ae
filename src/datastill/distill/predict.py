"""Multi-transform inference (section 4): boxes from one plain pass, heatmaps from all views."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from datastill.data.images import unit_interval
from datastill.distill.ensemble import decode, probabilities
from datastill.distill.evidence import Evidence, weigh
from datastill.distill.views import View
from datastill.instances import Instances
from datastill.model.detector import Detector
from datastill.model.precision import Precision, inference_precision


@dataclass(frozen=True)
class Inference:
    """How to predict: the one `plain` view that finds boxes, all `views` that place keypoints."""

    plain: View
    views: tuple[View, ...]
    swap: tuple[int, ...]  # keypoint partners in a mirror
    precision: Precision = "32-true"


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
    with inference_precision(inference.precision, device):
        plain = _plain_boxes(detector, images, inference.plain)
        sums = {i: _Sum(boxes) for i, boxes in enumerate(plain) if len(boxes)}
        for view in inference.views:
            boxes = {i: view.boxes(plain[i].boxes, images[i]) for i in sums}
            for i, seen in _view_heatmaps(detector, images, boxes, view).items():
                sums[i].add(view.heatmaps_back(probabilities(seen), inference.swap))
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
            seen = _view_heatmaps(detector, [image], {0: view.boxes(boxes.to(device), image)}, view)
            heatmaps = view.heatmaps_back(probabilities(seen[0]), inference.swap).cpu()
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


def _plain_boxes(detector: Detector, images: Sequence[Tensor], plain: View) -> list[Instances]:
    found: list[Instances | None] = [None] * len(images)
    for group in _same_size(images, range(len(images)), plain):
        batch, features = detector.features(_network_input(detector, images, group, plain))
        for i, instances in zip(group, detector.boxes(batch, features), strict=True):
            boxes = plain.boxes_back(instances.boxes, images[i])
            found[i] = replace(instances, boxes=boxes)
    return [instances for instances in found if instances is not None]


def _view_heatmaps(
    detector: Detector, images: Sequence[Tensor], boxes: dict[int, Tensor], view: View
) -> dict[int, Tensor]:
    heatmaps: dict[int, Tensor] = {}
    for group in _same_size(images, boxes, view):
        batch, features = detector.features(_network_input(detector, images, group, view))
        found = detector.heatmaps(batch, features, [boxes[i] for i in group])
        heatmaps.update(zip(group, found, strict=True))
    return heatmaps


def _network_input(
    detector: Detector, images: Sequence[Tensor], group: Sequence[int], view: View
) -> list[Tensor]:
    device = next(detector.parameters()).device
    return [unit_interval(view.apply(images[i]).to(device)) for i in group]


def _same_size(
    images: Sequence[Tensor], which: Sequence[int] | dict, view: View
) -> list[list[int]]:
    """Group images whose view has one size: padding would let neighbours change a prediction."""
    groups = defaultdict(list)
    for i in which:
        groups[view.size(images[i])].append(i)
    return list(groups.values())
