"""Multi-transform inference: one image, many views, one prediction.

With keypoints, boxes come from one single-scale pass and heatmaps from all views (section 4);
without, the boxes of all views vote (section 6).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from datastill.coco.metadata import category_ids
from datastill.images.geometry import unit_interval
from datastill.inference.agreement import Prediction, single_view, view_agreement
from datastill.inference.box_voting import vote
from datastill.inference.heatmaps import Average, HeatmapMean, decode, probabilities
from datastill.inference.roi_fpn import features_around
from datastill.inference.views import Inference, View
from datastill.instances import Instances
from datastill.model.detector import Detector
from datastill.model.precision import inference_precision

_ImageView = tuple[int, View]  # the index of an image, and one of its views


def predict(detector: Detector, images: Sequence[Tensor], inference: Inference) -> list[Instances]:
    """Return the detections of every image (3, h, w) uint8, in its own frame.

    With keypoints, scores are those of the single-scale pass; a keypoint's score is its peak's mean
    probability. If that pass finds nothing in an image, no further view is run. Without keypoints,
    every view runs the whole detector; a box's score is its highest in any view.
    """
    return [prediction.instances for prediction in run_views(detector, images, inference)]


@torch.inference_mode()
def run_views(
    detector: Detector, images: Sequence[Tensor], inference: Inference
) -> list[Prediction]:
    """Return what `predict` does, with the evidence of the views."""
    device = _device(detector)
    images = [image.to(device) for image in images]
    if not detector.heatmap:
        return _vote_boxes(detector, images, inference)
    with inference_precision(inference.precision, device):
        detections, heatmaps = _single_scale_pass(detector, images, inference)
        boxes = {i: each.boxes for i, each in enumerate(detections) if len(each)}
        accumulators = [ImageAccumulator(each, inference.average) for each in detections]
        for _, scale in groupby(inference.views, key=lambda view: view.short_side):
            pairs = [(i, view) for view in scale for i in boxes]
            missing = [pair for pair in pairs if pair not in heatmaps]
            heatmaps |= _heatmaps(detector, images, boxes, missing, inference.pixels)
            for i, view in pairs:
                logits = view.heatmaps_back(heatmaps.pop((i, view)), inference.flip_indices)
                accumulators[i].add(logits)
    nothing = torch.zeros(0, len(inference.flip_indices), detector.heatmap, detector.heatmap)
    for i in {*range(len(images))} - {*boxes}:
        accumulators[i].add(nothing)
    return [accumulator.prediction() for accumulator in accumulators]


@torch.inference_mode()
def mean_heatmaps(
    detector: Detector, image: Tensor, boxes: Tensor, inference: Inference
) -> tuple[Tensor, Tensor]:
    """Return the mean heatmaps (n, k, m, m) at `boxes` (n, 4) of one image, and each view's own
    keypoints (views, n, k, 2): what `run_views` bases its evidence on.
    """
    device = _device(detector)
    mean, peaks = HeatmapMean(inference.average), []
    images, placed = [image.to(device)], {0: boxes.to(device)}
    with inference_precision(inference.precision, device):
        for view in inference.views:
            heatmaps = _heatmaps(detector, images, placed, [(0, view)], 1)
            logits = view.heatmaps_back(heatmaps[0, view], inference.flip_indices).cpu()
            mean.add(logits)
            peaks.append(decode(probabilities(logits), boxes)[..., :2])
    return mean.value(), torch.stack(peaks)


@torch.inference_mode()
def view_boxes(detector: Detector, image: Tensor, inference: Inference) -> list[Instances]:
    """Return the boxes of each view of one image, the votes of `run_views`."""
    device = _device(detector)
    with inference_precision(inference.precision, device):
        return list(_boxes(detector, [image.to(device)], inference).values())


class ImageAccumulator:
    """The mean heatmaps of one image's instances so far, and each view's own peaks."""

    def __init__(self, instances: Instances, average: Average) -> None:
        self._instances, self._boxes = instances, instances.boxes
        self._mean, self._peaks = HeatmapMean(average), list[Tensor]()

    def add(self, logits: Tensor) -> None:
        """Add the raw heatmaps (n, k, m, m) of one view, in the frame of the image's RoIs."""
        self._mean.add(logits)
        heatmaps = probabilities(logits).to(self._boxes)
        self._peaks.append(decode(heatmaps, self._boxes)[..., :2])

    def prediction(self) -> Prediction:
        """Return the instances with the keypoints of the mean heatmaps."""
        keypoints = decode(self._mean.value().to(self._boxes), self._boxes)
        evidence = view_agreement(self._boxes, keypoints[..., :2], self._peaks)
        return Prediction(replace(self._instances, keypoints=keypoints), evidence)


def _device(detector: Detector) -> torch.device:
    return next(detector.parameters()).device


def _single_scale_pass(
    detector: Detector, images: Sequence[Tensor], inference: Inference
) -> tuple[list[Instances], dict[_ImageView, Tensor]]:
    """Return the boxes of every image, in its frame, and the heatmaps from the same features if
    the single-scale view is among the views.
    """
    detections: dict[int, Instances] = {}
    heatmaps: dict[_ImageView, Tensor] = {}
    pairs = [(i, inference.single_scale) for i in range(len(images))]
    for part in _passes(images, pairs, inference.pixels):
        batch, features = detector.features(_inputs(images, part))
        boxes = detector.boxes(batch, features)
        for (i, view), instances in zip(part, boxes, strict=True):
            detections[i] = _in_image(instances, view, images[i], inference)
        if inference.single_scale in inference.views:
            mapped = [view.boxes(detections[i].boxes, images[i]) for i, view in part]
            logits = detector.heatmaps(batch, features, mapped) if any(map(len, mapped)) else []
            heatmaps |= zip(part, logits, strict=False)
    return [detections[i] for i in range(len(images))], heatmaps


def _vote_boxes(
    detector: Detector, images: Sequence[Tensor], inference: Inference
) -> list[Prediction]:
    """Return the boxes voted by the views of every image; a single view needs no vote.

    The vote is outside autocast, which would round the boxes.
    """
    with inference_precision(inference.precision, _device(detector)):
        boxes = _boxes(detector, images, inference)
    if len(inference.views) == 1:
        return [Prediction(each, single_view(each.boxes)) for each in boxes.values()]
    ballots = ([boxes[i, view] for view in inference.views] for i in range(len(images)))
    limit = detector.rcnn.roi_heads.detections_per_img
    return [vote(ballot, inference.voting_iou, limit) for ballot in ballots]


def _boxes(
    detector: Detector, images: Sequence[Tensor], inference: Inference
) -> dict[_ImageView, Instances]:
    """Return the boxes of each view of each image separately, in the image's frame, images and
    their views in the order given.
    """
    boxes: dict[_ImageView, Instances] = {}
    pairs = [(i, view) for i in range(len(images)) for view in inference.views]
    for part in _passes(images, pairs, inference.pixels):
        detections = detector.boxes(*detector.features(_inputs(images, part)))
        for (i, view), instances in zip(part, detections, strict=True):
            boxes[i, view] = _in_image(instances, view, images[i], inference)
    return {pair: boxes[pair] for pair in pairs}


def _in_image(instances: Instances, view: View, image: Tensor, inference: Inference) -> Instances:
    """Return a network's detections in a view as objects of the image: boxes and COCO ids."""
    return replace(
        instances,
        boxes=view.boxes_back(instances.boxes, image),
        labels=category_ids(instances.labels, inference.categories),
    )


def _heatmaps(
    detector: Detector,
    images: Sequence[Tensor],
    boxes: Mapping[int, Tensor],
    pairs: Sequence[_ImageView],
    pixels: int,
) -> dict[_ImageView, Tensor]:
    """Return the heatmaps of image-view `pairs` at the `boxes` of each image, in its frame."""
    heatmaps: dict[_ImageView, Tensor] = {}
    for part in _passes(images, pairs, pixels):
        mapped = [view.boxes(boxes[i], images[i]) for i, view in part]
        batch, features = features_around(detector, _inputs(images, part), mapped)
        heatmaps |= zip(part, detector.heatmaps(batch, features, mapped), strict=True)
    return heatmaps


def _inputs(images: Sequence[Tensor], pairs: Sequence[_ImageView]) -> list[Tensor]:
    return [unit_interval(view.apply(images[i])) for i, view in pairs]


def _passes(
    images: Sequence[Tensor], pairs: Sequence[_ImageView], pixels: int
) -> Iterator[list[_ImageView]]:
    """Yield batches of image-view pairs of one size, of up to that many pixels each.

    With padding, other images of a batch would change a prediction; so would, in its last bits,
    a pass of one image instead of many, hence batches of nearly equal size.
    """
    groups = defaultdict(list)
    for i, view in pairs:
        groups[view.size(images[i])].append((i, view))
    for (height, width), group in groups.items():
        limit = max(1, pixels // (height * width))
        for part in np.array_split(np.arange(len(group)), -(-len(group) // limit)):
            yield [group[index] for index in part]
