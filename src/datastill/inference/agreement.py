"""Why believe a keypoint or a box? How the views of one image agree on it, beside its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datastill.inference.box_voting import Support

AGREES = 0.05  # of the square root of the box's area: about one bin of a 28 x 28 heatmap and a half


@dataclass(frozen=True)
class Evidence:
    """How the views of an image agree about its n instances with k keypoints each.

    spread      (n, k)  root mean square distance of the views' own keypoints from the ensembled
                        one, in square roots of the box's area
    agreeing    (n, k)  views whose own keypoint is within AGREES of the ensembled one, same unit
    views       (n,)    that have voted for the box: 1 where it comes from one plain pass
    box_spread  (n,)    mean 1 - IoU of the votes with the box
    """

    spread: Tensor
    agreeing: Tensor
    views: Tensor
    box_spread: Tensor


def view_agreement(boxes: Tensor, keypoints: Tensor, views: Sequence[Tensor]) -> Evidence:
    """Return the evidence of ensembled `keypoints` (n, k, 2) and those of every view alike; their
    `boxes` (n, 4) are those of one plain pass.
    """
    one = Support(boxes.new_ones(len(boxes), dtype=torch.int16), boxes.new_zeros(len(boxes)))
    if not views:
        nothing = keypoints.new_zeros(keypoints.shape[:2])
        return Evidence(nothing, nothing.to(torch.int16), one.views, one.spread)
    sides = boxes[:, 2:] - boxes[:, :2]
    unit = sides.prod(1).clamp(min=1).sqrt()[:, None]
    distances = torch.stack([(view - keypoints).norm(dim=-1) / unit for view in views])
    return Evidence(
        spread=distances.square().mean(0).sqrt(),
        agreeing=(distances <= AGREES).sum(0).to(torch.int16),
        views=one.views,
        box_spread=one.spread,
    )


def of_boxes(support: Support) -> Evidence:
    """Return the evidence of boxes without keypoints, from what they were elected by."""
    nothing = support.spread.new_zeros(len(support.spread), 0)
    return Evidence(nothing, nothing.to(torch.int16), support.views, support.spread)
