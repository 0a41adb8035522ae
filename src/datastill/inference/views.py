"""Views of an image, and how boxes and heatmaps travel between a view and the image (section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datastill.images.load import resize, scaled_size


@dataclass(frozen=True)
class View:
    """An image resized to `short_side` pixels, no side over `long_side`, mirrored or not."""

    short_side: int
    long_side: int
    flip: bool = False

    def size(self, image: Tensor) -> tuple[int, int]:
        """Return (height, width) of this view of `image`."""
        return scaled_size(image.shape[-2], image.shape[-1], self.short_side, self.long_side)

    def apply(self, image: Tensor) -> Tensor:
        """Return the view of `image` (3, h, w) uint8."""
        view = resize(image, self.short_side, self.long_side)
        return view.flip(-1) if self.flip else view

    def boxes(self, boxes: Tensor, image: Tensor) -> Tensor:
        """Return `boxes` (n, 4) of `image` in the frame of the view."""
        scaled = boxes * self._factors(image).to(boxes)
        return _mirrored(scaled, self.size(image)[1]) if self.flip else scaled

    def boxes_back(self, boxes: Tensor, image: Tensor) -> Tensor:
        """Return `boxes` (n, 4) of the view in the frame of `image`."""
        upright = _mirrored(boxes, self.size(image)[1]) if self.flip else boxes
        return upright / self._factors(image).to(boxes)

    def heatmaps_back(self, heatmaps: Tensor, flip_indices: Sequence[int]) -> Tensor:
        """Return `heatmaps` (n, k, m, m) of the view's RoIs as the image's RoIs see them.

        A heatmap lies in the frame of its RoI, so scale needs no undoing; a mirror needs both the
        map turned and each keypoint exchanged for its partner.
        """
        return heatmaps.flip(-1)[:, list(flip_indices)] if self.flip else heatmaps

    def _factors(self, image: Tensor) -> Tensor:
        # Sizes are whole pixels, so x and y scale by slightly different factors.
        height, width = self.size(image)
        x, y = width / image.shape[-1], height / image.shape[-2]
        return torch.tensor([x, y, x, y])


def _mirrored(boxes: Tensor, width: int) -> Tensor:
    """Return `boxes` (n, 4) as a mirror shows them in an image of that `width`."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    # Continuous coordinates mirror to width - x; width - 1 - x is for pixel indices.
    return torch.stack([width - x2, y1, width - x1, y2], dim=-1)


def all_views(short_sides: Sequence[int], long_side: int, flip: bool) -> tuple[View, ...]:
    """Return every scale, plain and (with `flip`) mirrored: the paper's 9 x 2 = 18."""
    flips = (False, True) if flip else (False,)
    return tuple(View(side, long_side, mirrored) for side in short_sides for mirrored in flips)
