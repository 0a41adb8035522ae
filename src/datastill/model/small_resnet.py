"""The miniature's backbone: a ResNet of four basic blocks, normalised everywhere."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from datastill.model.config import BackboneSpec


class SmallResNet(nn.Module):
    """A ResNet of four basic blocks."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        width = widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
        self.layer1 = BasicBlock(width, width)
        self.layer2, self.layer3, self.layer4 = (
            _block(inputs, outputs) for inputs, outputs in pairwise(widths)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the coarsest features; the pyramid takes each layer's own output."""
        features = self.stem(images)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = layer(features)
        return features


def _block(inputs: int, outputs: int) -> BasicBlock:
    """Return a basic block that halves the resolution."""
    shortcut = nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs)
    )
    return BasicBlock(inputs, outputs, stride=2, downsample=shortcut)


_SMALL = (32, 64, 128, 128)

SMALL = BackboneSpec(
    body=partial(SmallResNet, _SMALL),
    widths=_SMALL,
    pyramid_width=64,
    normalised=True,
    finest_stride=4,
    anchor_sizes=(24, 48, 80, 128),
    box_features=128,
    # Mask R-CNN's eight layers see all of a 14 x 14 box; dilated ones do so in four.
    keypoint_layers=((48, 1), (48, 2), (48, 4), (48, 2)),
    heatmap=28,
    proposals=(100, 50),
    rpn_samples=32,
    box_samples=16,
    positive_share=0.5,
)

# Half as wide throughout: a worse teacher, for figure 6; it has no initial weights.
_SLIM = (16, 32, 64, 64)
SLIM = replace(
    SMALL,
    body=partial(SmallResNet, _SLIM),
    widths=_SLIM,
    pyramid_width=32,
    box_features=64,
    keypoint_layers=tuple(
        (channels // 2, dilation) for channels, dilation in SMALL.keypoint_layers
    ),
)

# Objects may be small, so the finest level proposes too; without a keypoint head, boxes are cheap.
SMALL_BOXES = replace(
    SMALL,
    anchor_sizes=(12, 24, 48, 80, 128),
    proposals=(200, 100),
    rpn_samples=64,
    box_samples=64,
    positive_share=0.25,
)
