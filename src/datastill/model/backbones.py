"""Backbones by name: everything of a detector that depends on its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.resnet import BasicBlock

from datastill.errors import ParamsError


@dataclass(frozen=True)
class BackboneSpec:
    """One detector size.

    body               makes the bottom-up network, of layers `layer1` to `layer4`
    widths             channels of these four layers
    pyramid_width      channels of the feature pyramid on top of it
    finest_stride      pixels per cell of its finest level, "0", which boxes are pooled from
    anchor_sizes       one anchor size in pixels per coarser level, which propose boxes
    box_features       width of the two fully connected box layers
    keypoint_layers    (channels, dilation) of the 3x3 convolutions of the keypoint head
    heatmap            bins per side of a keypoint heatmap
    proposals          RPN boxes kept per image (training, test)
    rpn_samples, box_samples   anchors and boxes per image that enter the loss
    positive_share     of the boxes: those that lie on people, and so teach the keypoint head
    """

    body: Callable[[], nn.Module]
    widths: tuple[int, int, int, int]
    pyramid_width: int
    finest_stride: int
    anchor_sizes: tuple[int, ...]
    box_features: int
    keypoint_layers: tuple[tuple[int, int], ...]
    heatmap: int
    proposals: tuple[int, int]
    rpn_samples: int
    box_samples: int
    positive_share: float

    def build(self) -> BackboneWithFPN:
        """Return body and pyramid with fresh weights."""
        layers = {f"layer{i + 1}": str(i) for i in range(4)}
        return BackboneWithFPN(
            self.body(), layers, list(self.widths), self.pyramid_width, norm_layer=nn.BatchNorm2d
        )


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

BACKBONES = {
    "small": BackboneSpec(
        body=partial(SmallResNet, _SMALL),
        widths=_SMALL,
        pyramid_width=64,
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
    ),
}


def backbone_spec(name: str) -> BackboneSpec:
    """Return the backbone called `name`; raises ParamsError listing those there are."""
    if name not in BACKBONES:
        raise ParamsError(f"backbone {name!r} is unknown; there are {', '.join(BACKBONES)}")
    return BACKBONES[name]
