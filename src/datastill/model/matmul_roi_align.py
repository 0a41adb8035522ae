"""RoIAlign as two matrix products, for a backward pass that uses every core."""

import torch
from torch import Tensor, nn


class MatmulRoIAlign(nn.Module):
    """Pool every box from one feature map as `rows @ features @ columns`.

    Bilinear interpolation is separable: one interpolation matrix per axis samples a box. Equals
    torchvision's roi_align(aligned=False), whose CPU backward runs on one core; faster only on
    small maps, hence only for the miniature's backbones, whose boxes (up to 224 px) FPN's rule puts
    on the finest level. Called like torchvision's MultiScaleRoIAlign.
    """

    def __init__(self, level: str, stride: int, output_size: int, sampling_ratio: int = 2) -> None:
        super().__init__()
        self.level, self.stride = level, stride
        self.output_size = (output_size, output_size)
        self.sampling_ratio = sampling_ratio

    def forward(
        self, features: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        """Return (n, c, output, output) for all `boxes` (n_i, 4) of all images in their order."""
        maps = zip(features[self.level], boxes, strict=True)
        return torch.cat([self._pool(*pair) for pair in maps])

    def _pool(self, feature: Tensor, boxes: Tensor) -> Tensor:
        channels, height, width = feature.shape
        x1, y1, x2, y2 = (boxes / self.stride).unbind(-1)
        columns = self._interpolation(x1, x2, width).to(feature.dtype)
        rows = self._interpolation(y1, y2, height).to(feature.dtype)
        across = feature.reshape(channels * height, width) @ columns.reshape(-1, width).T
        across = across.view(channels, height, len(boxes), self.output_size[1]).permute(2, 0, 1, 3)
        return rows[:, None] @ across

    def _interpolation(self, start: Tensor, end: Tensor, length: int) -> Tensor:
        """Return (n, output, length): the weight of every cell in every bin of [start, end]."""
        samples = self.output_size[0] * self.sampling_ratio
        steps = (torch.arange(samples, device=start.device) + 0.5) / samples
        position = start[:, None] + (end - start).clamp(min=1)[:, None] * steps
        inside = (position >= -1) & (position <= length)
        cells = torch.arange(length, device=start.device)
        distance = (position.clamp(0, length - 1)[..., None] - cells).abs()
        weights = (1 - distance).clamp(min=0) * inside[..., None]
        return weights.unflatten(1, (self.output_size[0], self.sampling_ratio)).mean(2)
