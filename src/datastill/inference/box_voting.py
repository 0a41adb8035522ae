"""Bounding-box voting: the boxes of several views merged into hard boxes (section 6).

Gidaris and Komodakis, ICCV 2015: after NMS, a box is the score-weighted mean of those it overlaps.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou, nms

from datastill.inference.agreement import Prediction, box_agreement, single_view
from datastill.instances import Instances

NMS_IOU = 0.5  # Mask R-CNN's, as for the boxes of one view


def vote(views: Sequence[Instances], voting_iou: float, limit: int) -> Prediction:
    """Return the ensembled boxes of one image, best first, and how many views voted for each.

    `views` hold the boxes of every view in the frame of the image, without keypoints, in any
    order. In their union, a box survives NMS within its category; it becomes the score-weighted
    mean of the boxes of its category that overlap it with an IoU of `voting_iou`, itself included,
    and keeps its own score, the highest of them. The best `limit` are returned.
    """
    union, source = _ordered(views)
    categories = [(union.labels == label).nonzero()[:, 0] for label in union.labels.unique()]
    voted = [_vote_category(union[index], source[index], voting_iou) for index in categories]
    if not voted:
        return Prediction(union, single_view(union.boxes))
    boxes, scores, labels, counts, spread = map(torch.cat, zip(*voted, strict=True))
    best = scores.argsort(descending=True, stable=True)[:limit]
    no_keypoints = boxes.new_zeros(len(best), 0, 3)
    instances = Instances(boxes[best], scores[best], labels[best], no_keypoints)
    return Prediction(instances, box_agreement(counts[best], spread[best]))


def _ordered(views: Sequence[Instances]) -> tuple[Instances, Tensor]:
    """Return all boxes, by score and for ties by position, and the view of each."""
    parts = [(view.boxes, view.scores, view.labels) for view in views]
    boxes, scores, labels = map(torch.cat, zip(*parts, strict=True))
    sizes = torch.tensor([len(view) for view in views], device=boxes.device)
    source = torch.arange(len(views), device=boxes.device).repeat_interleave(sizes)
    order = torch.arange(len(boxes), device=boxes.device)
    for key in (*boxes.unbind(1), -scores):
        order = order[key[order].argsort(stable=True)]
    union = Instances(boxes, scores, labels, boxes.new_zeros(len(boxes), 0, 3))
    return union[order], source[order]


def _vote_category(union: Instances, source: Tensor, voting_iou: float) -> tuple[Tensor, ...]:
    """Return boxes, scores, labels, views and spread of one category's survivors."""
    survivors = nms(union.boxes, union.scores, NMS_IOU)
    votes = box_iou(union.boxes[survivors], union.boxes) >= voting_iou
    votes[torch.arange(len(survivors)), survivors] = True  # despite rounding
    weights = votes * union.scores
    boxes = weights @ union.boxes / weights.sum(1, keepdim=True)
    views = (votes[:, :, None] & (source[:, None] == source.unique())).any(1).sum(1)
    spread = torch.where(votes, 1 - box_iou(boxes, union.boxes), 0).sum(1) / votes.sum(1)
    kept = union[survivors]
    return boxes, kept.scores, kept.labels, views.to(torch.int16), spread
