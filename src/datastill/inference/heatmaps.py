"""Heatmaps of one instance from many views, averaged and decoded to hard keypoints (section 4)."""

from typing import Literal

import torch
from torch import Tensor

Average = Literal["probabilities", "logits"]


def probabilities(logits: Tensor) -> Tensor:
    """Return heatmaps (n, k, m, m) that sum to 1 over positions, from logits."""
    return logits.flatten(2).softmax(-1).view_as(logits)


class HeatmapMean:
    """A running mean of heatmaps over views, as probabilities; single views are not kept.

    The paper averages probabilities; the authors' published code averages logits.
    """

    def __init__(self, average: Average) -> None:
        self._average, self._total, self._count = average, torch.zeros(()), 0

    def add(self, logits: Tensor) -> None:
        """Add the raw heatmaps (n, k, m, m) of one view."""
        heatmaps = probabilities(logits) if self._average == "probabilities" else logits
        self._total = self._total + heatmaps
        self._count += 1

    def value(self) -> Tensor:
        """Return heatmaps (n, k, m, m) that sum to 1 over positions."""
        mean = self._total / self._count
        return mean if self._average == "probabilities" else probabilities(mean)


def decode(heatmaps: Tensor, boxes: Tensor) -> Tensor:
    """Return keypoints (n, k, 3): x, y in the frame of `boxes` (n, 4), and the peak's probability.

    The peak is refined inside its bin by a parabola through the logarithms of its neighbours along
    each axis; bins are half-open cells, so bin i of m is centred at (i + 0.5) / m of the box.
    """
    n, k, rows, columns = heatmaps.shape
    peak, index = heatmaps.flatten(2).max(-1)
    y, x = index // columns, index % columns
    logs = heatmaps.clamp(min=torch.finfo(heatmaps.dtype).tiny).log()
    along_x = logs.gather(2, y[..., None, None].expand(n, k, 1, columns))[:, :, 0]
    along_y = logs.gather(3, x[..., None, None].expand(n, k, rows, 1))[..., 0]
    u = (x + 0.5 + _offset(along_x, x)) / columns
    v = (y + 0.5 + _offset(along_y, y)) / rows
    x1, y1, x2, y2 = boxes[:, None].unbind(-1)
    return torch.stack([x1 + u * (x2 - x1), y1 + v * (y2 - y1), peak], dim=-1)


def _offset(logs: Tensor, index: Tensor) -> Tensor:
    """Return where within +-0.5 bins of `index` a parabola peaks; 0 at the border of the map."""
    last = logs.shape[-1] - 1
    near = torch.stack([index - 1, index, index + 1], dim=-1).clamp(0, last)
    left, middle, right = logs.gather(-1, near).unbind(-1)
    curvature = 2 * middle - left - right
    offset = (right - left) / (2 * curvature.clamp(min=1e-6))
    inside = (index > 0) & (index < last)
    return torch.where(inside, offset.clamp(-0.5, 0.5), 0.0)
