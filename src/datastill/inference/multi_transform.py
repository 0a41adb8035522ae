"""Multi-transform inference: of keypoints boxes from one plain pass and heatmaps from all views
(section 4), of boxes alone the boxes of all views, put to the vote (section 6).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from datastill.coco.metadata import category_ids
from datastill.images.load import unit_interval
from datastill.inference.agreement import Evidence, of_boxes, view_agreement
from datastill.inference.box_voting import alone, vote
from datastill.inference.heatmaps import Average, HeatmapMean, decode, probabilities
from datastill.inference.roi_fpn import features_around
from datastill.inference.views import View
from datastill.instances import Instances
from datastill.model.detector import Detector
from datastill.model.precision import Precision, inference_precision


@dataclass(frozen=True)
class Inference:
    """How to predict.

    plain       the one view that finds boxes with keypoints
    views       all that place keypoints, or find boxes without any
    swap        keypoint partners in a mirror
    pixels      of views that pass the network together, as long as it is more than one
    categories  COCO ids by the labels of the network, from label 1 on
    voting_iou  overlap from which a box of one view votes for one of another
    average     of what the mean over views is taken: the paper says probabilities
    """

    plain: View
    views: tuple[View, ...]
    flip_indices: tuple[int, ...]
    precision: Precision = "32-true"
    pixels: int = 1_000_000
    categories: tuple[int, ...] = (1,)
    voting_iou: float = 1.0
    average: Average = "probabilities"


@dataclass(frozen=True)
class Prediction:
    """The instances of one image, and how its views agree about them."""

    instances: Instances
    evidence: Evidence


def predict(detector: Detector, images: Sequence[Tensor], inference: Inference) -> list[Instances]:
    """Return the detections of every image (3, h, w) uint8, in its own frame.

    With keypoints, scores are those of the plain pass; a keypoint's score is its peak's mean
    probability. An image in which the plain pass finds nothing costs no further view. Without
    keypoints, every view runs the whole detector; a box's score is its highest in any view.
    """
    return [found.instances for found in look(detector, images, inference)]


@torch.inference_mode()
def look(detector: Detector, images: Sequence[Tensor], inference: Inference) -> list[Prediction]:
    """Return what `predict` does, with the evidence of the views."""
    device = next(detector.parameters()).device
    images = [image.to(device) for image in images]
    if not detector.heatmap:
        return _elected(detector, images, inference)
    with inference_precision(inference.precision, device):
        plain, seen = _plain_pass(detector, images, inference)
        boxes = {i: instances.boxes for i, instances in enumerate(plain) if len(instances)}
        sums = {i: ImageAccumulator(plain[i], inference.average) for i in boxes}
        for _, scale in groupby(inference.views, key=lambda view: replace(view, flip=False)):
            sights = [(i, view) for view in scale for i in boxes]
            missing = [sight for sight in sights if sight not in seen]
            seen |= _heatmaps(detector, images, boxes, missing, inference.pixels)
            for i, view in sights:
                sums[i].add(view.heatmaps_back(seen.pop((i, view)), inference.flip_indices))
    nothing = torch.zeros(0, len(inference.flip_indices), detector.heatmap, detector.heatmap)
    for i, instances in enumerate(plain):
        if i not in sums:
            sums[i] = ImageAccumulator(instances, inference.average)
            sums[i].add(nothing)
    return [sums[i].found() for i in range(len(images))]


@torch.inference_mode()
def mean_heatmaps(
    detector: Detector, image: Tensor, boxes: Tensor, inference: Inference
) -> tuple[Tensor, Tensor]:
    """Return the mean heatmaps (n, k, m, m) at `boxes` (n, 4) of one image, and each view's own
    keypoints (views, n, k, 2): what `look` bases its evidence on.
    """
    device = next(detector.parameters()).device
    mean, peaks = HeatmapMean(inference.average), []
    with inference_precision(inference.precision, device):
        for view in inference.views:
            seen = _heatmaps(detector, [image.to(device)], {0: boxes.to(device)}, [(0, view)], 1)
            logits = view.heatmaps_back(seen[0, view], inference.flip_indices).cpu()
            mean.add(logits)
            peaks.append(decode(probabilities(logits), boxes)[..., :2])
    return mean.value(), torch.stack(peaks)


@torch.inference_mode()
def view_boxes(detector: Detector, image: Tensor, inference: Inference) -> list[Instances]:
    """Return the boxes that each view of one image by itself finds: what `look` puts to the vote
    where there are no keypoints.
    """
    device = next(detector.parameters()).device
    with inference_precision(inference.precision, device):
        return list(_boxes(detector, [image.to(device)], inference).values())


class ImageAccumulator:
    """The heatmaps of one image's instances over the views so far, and each view's own peaks."""

    def __init__(self, instances: Instances, average: Average) -> None:
        self._instances, self._peaks = instances, list[Tensor]()
        self._mean = HeatmapMean(average)

    def add(self, logits: Tensor) -> None:
        self._mean.add(logits)
        heatmaps = probabilities(logits).to(self._boxes)
        self._peaks.append(decode(heatmaps, self._boxes)[..., :2])

    def found(self) -> Prediction:
        """Return the mean's keypoints."""
        keypoints = decode(self._mean.value().to(self._boxes), self._boxes)
        evidence = view_agreement(self._boxes, keypoints[..., :2], self._peaks)
        return Prediction(replace(self._instances, keypoints=keypoints), evidence)

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
        boxes = detector.boxes(batch, features)
        for (i, view), instances in zip(part, boxes, strict=True):
            found[i] = _in_image(instances, view, images[i], inference)
        if inference.plain in inference.views:
            mapped = [view.boxes(found[i].boxes, images[i]) for i, view in part]
            heatmaps = detector.heatmaps(batch, features, mapped) if any(map(len, mapped)) else []
            seen |= zip(part, heatmaps, strict=False)
    return [found[i] for i in range(len(images))], seen


def _elected(
    detector: Detector, images: Sequence[Tensor], inference: Inference
) -> list[Prediction]:
    """Return what all views of every image elect; one view needs no vote.

    The vote is outside autocast, which would round the boxes.
    """
    with inference_precision(inference.precision, next(detector.parameters()).device):
        seen = _boxes(detector, images, inference)
    most = detector.rcnn.roi_heads.detections_per_img
    found = []
    for i in range(len(images)):
        ballot = [seen[i, view] for view in inference.views]
        many = len(ballot) > 1
        elected, support = vote(ballot, inference.voting_iou, most) if many else alone(ballot[0])
        found.append(Prediction(elected, of_boxes(support)))
    return found


def _boxes(
    detector: Detector, images: Sequence[Tensor], inference: Inference
) -> dict[_Sight, Instances]:
    """Return the boxes that every view of every image by itself finds, in the image's frame."""
    seen: dict[_Sight, Instances] = {}
    sights = [(i, view) for i in range(len(images)) for view in inference.views]
    for part in _passes(images, sights, inference.pixels):
        boxes = detector.boxes(*_features(detector, images, part))
        for (i, view), instances in zip(part, boxes, strict=True):
            seen[i, view] = _in_image(instances, view, images[i], inference)
    return seen


def _in_image(instances: Instances, view: View, image: Tensor, inference: Inference) -> Instances:
    """Return what a network found in a view as objects of the image: boxes and COCO ids."""
    return replace(
        instances,
        boxes=view.boxes_back(instances.boxes, image),
        labels=category_ids(instances.labels, inference.categories),
    )


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
        mapped = [view.boxes(boxes[i], images[i]) for i, view in part]
        batch, features = features_around(detector, _seen(images, part), mapped)
        heatmaps |= zip(part, detector.heatmaps(batch, features, mapped), strict=True)
    return heatmaps


def _features(
    detector: Detector, images: Sequence[Tensor], sights: Sequence[_Sight]
) -> tuple[ImageList, dict[str, Tensor]]:
    return detector.features(_seen(images, sights))


def _seen(images: Sequence[Tensor], sights: Sequence[_Sight]) -> list[Tensor]:
    return [unit_interval(view.apply(images[i])) for i, view in sights]


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
