"""Multi-transform inference (section 4): boxes from one plain pass, heatmaps from all views."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from datastill.data.images import unit_interval
from datastill.distill.ensemble import decode, probabilities
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


@torch.inference_mode()
def predict(detector: Detector, images: Sequence[Tensor], inference: Inference) -> list[Instances]:
    """Return the detections of every image (3, h, w) uint8, in its own frame.

    Scores are those of the plain pass; a keypoint's score is its peak's mean probability. An image
    in which the plain pass finds nothing costs no further view.
    """
    device = next(detector.parameters()).device
    with inference_precision(inference.precision, device):
        found = _plain_boxes(detector, images, inference.plain)
        busy = [i for i, instances in enumerate(found) if len(instances)]
        heatmaps = {i: torch.zeros(()) for i in busy}
        for view in inference.views:
            boxes = {i: view.boxes(found[i].boxes, images[i]) for i in busy}
            for i, seen in _view_heatmaps(detector, images, boxes, view).items():
                heatmaps[i] = heatmaps[i] + view.heatmaps_back(probabilities(seen), inference.swap)
    keypoints = len(inference.swap)
    empty = torch.zeros(0, keypoints, detector.heatmap, detector.heatmap)
    means = [heatmaps.get(i, empty) / len(inference.views) for i in range(len(images))]
    return [
        replace(instances, keypoints=decode(mean.to(instances.boxes), instances.boxes))
        for instances, mean in zip(found, means, strict=True)
    ]


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
