"""Scaling and mirroring of images and their boxes."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def scaled_size(height: int, width: int, short_side: int, long_side: int) -> tuple[int, int]:
    """Return (height, width) with that short side, smaller if the long side would exceed that."""
    factor = min(short_side / min(height, width), long_side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def resize(image: Tensor, short_side: int, long_side: int) -> Tensor:
    """Return `image` (3, h, w) uint8 at that scale, antialiased."""
    size = scaled_size(image.shape[-2], image.shape[-1], short_side, long_side)
    if image.is_cpu:
        return interpolate(image[None], size, mode="bilinear", antialias=True)[0]
    scaled = interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0]
    return scaled.round().to(torch.uint8)  # PyTorch resizes uint8 only on the CPU


def unit_interval(image: Tensor) -> Tensor:
    """Return `image` uint8 as float32 in [0, 1]."""
    return image.float().div_(255)


def mirror_boxes(boxes: Tensor, width: int) -> Tensor:
    """Return `boxes` (n, 4) as x1 y1 x2 y2, mirrored in an image of that `width`.

    Continuous coordinates mirror to `width` - x; `width` - 1 - x is for pixel indices.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack([width - x2, y1, width - x1, y2], dim=-1)


def turn_boxes(boxes: Tensor, size: tuple[int, int], turns: int) -> Tensor:
    """Return `boxes` (n, 4) as x1 y1 x2 y2 in an image of `size` (height, width) after so many
    quarter turns clockwise, which keep them exact; negative `turns` are counterclockwise.
    """
    height, width = size
    for _ in range(turns % 4):
        x1, y1, x2, y2 = boxes.unbind(-1)
        boxes = torch.stack([height - y2, x1, height - y1, x2], dim=-1)
        height, width = width, height
    return boxes
