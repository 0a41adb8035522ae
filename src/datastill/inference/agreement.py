"""Predictions of an image, and the agreement of its views about each keypoint and box."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from datastill.instances import Instances

AGREES = 0.05  # of the square root of the box's area: about 1.5 bins of a 28 x 28 heatmap


@dataclass(frozen=True)
class Evidence:
    """How the views of an image agree about its n instances with k keypoints each.

    spread      (n, k)  root mean square distance of the views' own keypoints from the ensembled
                        one, in square roots of the box's area
    agreeing    (n, k)  views whose own keypoint is within AGREES of the ensembled one, same unit
    views       (n,)    that voted for the box: 1 if it comes from a single view
    box_spread  (n,)    mean 1 - IoU of the votes with the box
    """

    spread: Tensor
    agreeing: Tensor
    views: Tensor
    box_spread: Tensor


@dataclass(frozen=True)
class Prediction:
    """The instances of one image, and how its views agree about them."""

    instances: Instances
    evidence: Evidence


def box_agreement(views: Tensor, box_spread: Tensor) -> Evidence:
    """Return the evidence of n boxes without keypoints."""
    nothing = box_spread.new_zeros(len(box_spread), 0)
    return Evidence(nothing, nothing.to(torch.int16), views, box_spread)


def single_view(boxes: Tensor) -> Evidence:
    """Return the evidence of `boxes` (n, 4) from a single view."""
    views = torch.ones(len(boxes), dtype=torch.int16, device=boxes.device)
    return box_agreement(views, boxes.new_zeros(len(boxes)))


def view_agreement(boxes: Tensor, keypoints: Tensor, views: Sequence[Tensor]) -> Evidence:
    """Return the evidence of ensembled `keypoints` (n, k, 2) at `boxes` (n, 4) of one view.

    views  at least one, each its own keypoints (n, k, 2)
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    unit = sides.prod(1).clamp(min=1).sqrt()[:, None]
    distances = torch.stack([(view - keypoints).norm(dim=-1) / unit for view in views])
    return replace(
        single_view(boxes),
        spread=distances.square().mean(0).sqrt(),
        agreeing=(distances <= AGREES).sum(0).to(torch.int16),
    )
