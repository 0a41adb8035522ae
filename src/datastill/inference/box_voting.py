"""Boxes that several views predict become one hard box each: a union, put to the vote (section 6).

Gidaris and Komodakis, ICCV 2015: after NMS, a box is the mean of all that overlap it, by score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou, nms

from datastill.instances import Instances

NMS_IOU = 0.5  # Mask R-CNN's, as for the boxes of one view


@dataclass(frozen=True)
class Support:
    """Who voted for the n boxes of an image.

    views   (n,)  views in which the category has a box that votes
    spread  (n,)  mean of 1 - IoU with the box that the votes come to
    """

    views: Tensor
    spread: Tensor


def vote(views: Sequence[Instances], voting_iou: float, most: int) -> tuple[Instances, Support]:
    """Return the ensembled boxes of one image, best first, and their support.

    `views` hold the boxes of every view in the frame of the image, without keypoints; their order
    changes nothing. In the union of all, a box survives NMS within its category; it becomes the
    score-weighted mean of the boxes of its category that overlap it with an IoU of `voting_iou`,
    itself included, and keeps its own score, the highest of them. The `most` best are returned.
    """
    union, source = _ordered(views)
    parts = [_vote_category(union[at], source[at], voting_iou) for at in _by_category(union.labels)]
    if not parts:
        return alone(union)
    found = [torch.cat(values) for values in zip(*parts, strict=True)]
    boxes, scores, labels, counts, spread = found
    best = scores.argsort(descending=True, stable=True)[:most]
    none = boxes.new_zeros(len(best), 0, 3)
    elected = Instances(boxes[best], scores[best], labels[best], none)
    return elected, Support(counts[best], spread[best])


def alone(view: Instances) -> tuple[Instances, Support]:
    """Return the boxes of the only view as they are: nobody else has a vote."""
    ones = torch.ones(len(view), dtype=torch.int16, device=view.boxes.device)
    return view, Support(ones, view.boxes.new_zeros(len(view)))


def _ordered(views: Sequence[Instances]) -> tuple[Instances, Tensor]:
    """Return all boxes, by score and where that ties by place, and the view of each."""
    boxes = torch.cat([view.boxes for view in views])
    scores = torch.cat([view.scores for view in views])
    labels = torch.cat([view.labels for view in views])
    sizes = torch.tensor([len(view) for view in views], device=boxes.device)
    source = torch.arange(len(views), device=boxes.device).repeat_interleave(sizes)
    order = torch.arange(len(boxes), device=boxes.device)
    for key in (*boxes.unbind(1), -scores):
        order = order[key[order].argsort(stable=True)]
    union = Instances(boxes, scores, labels, boxes.new_zeros(len(boxes), 0, 3))
    return union[order], source[order]


def _by_category(labels: Tensor) -> list[Tensor]:
    return [(labels == label).nonzero()[:, 0] for label in labels.unique()]


def _vote_category(union: Instances, source: Tensor, voting_iou: float) -> tuple[Tensor, ...]:
    """Return boxes, scores, labels, views and spread of one category's survivors."""
    survivors = nms(union.boxes, union.scores, NMS_IOU)
    votes = box_iou(union.boxes[survivors], union.boxes) >= voting_iou
    votes[torch.arange(len(survivors)), survivors] = True  # whatever rounding says
    weights = votes * union.scores
    boxes = weights @ union.boxes / weights.sum(1, keepdim=True)
    views = (votes[:, :, None] & (source[:, None] == source.unique())).any(1).sum(1)
    distances = torch.where(votes, 1 - box_iou(boxes, union.boxes), 0)
    spread = distances.sum(1) / votes.sum(1)
    kept = union[survivors]
    return boxes, kept.scores, kept.labels, views.to(torch.int16), spread
