"""Backbones by name: everything of a detector that depends on its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.resnet import BasicBlock

from datastill.errors import ParamsError


@dataclass(frozen=True)
class BackboneSpec:
    """One detector size.

    build              makes the feature pyramid
    finest_stride      pixels per cell of its finest level, "0", which boxes are pooled from
    anchor_sizes       one anchor size in pixels per coarser level, which propose boxes
    box_features       width of the two fully connected box layers
    keypoint_layers    channels of the 3x3 convolutions of the keypoint head
    heatmap            bins per side of a keypoint heatmap
    proposals          RPN boxes kept per image (training, test)
    rpn_samples, box_samples   anchors and boxes per image that enter the loss
    """

    build: Callable[[], BackboneWithFPN]
    finest_stride: int
    anchor_sizes: tuple[int, ...]
    box_features: int
    keypoint_layers: tuple[int, ...]
    heatmap: int
    proposals: tuple[int, int]
    rpn_samples: int
    box_samples: int


class SmallResNet(nn.Module):
    """A ResNet of four basic blocks, an eighth as wide as ResNet-50, trained from scratch."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
        self.layer1 = BasicBlock(width, width)
        self.layer2 = _block(width, width * 2)
        self.layer3 = _block(width * 2, width * 4)
        self.layer4 = _block(width * 4, width * 8)

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


def _small() -> BackboneWithFPN:
    layers = {f"layer{i + 1}": str(i) for i in range(4)}
    widths = [32, 64, 128, 256]
    return BackboneWithFPN(SmallResNet(), layers, widths, 64, norm_layer=nn.BatchNorm2d)


BACKBONES = {
    "small": BackboneSpec(
        build=_small,
        finest_stride=4,
        anchor_sizes=(24, 48, 80, 128),
        box_features=128,
        keypoint_layers=(64,) * 4,
        heatmap=28,
        proposals=(100, 50),
        rpn_samples=32,
        box_samples=16,
    ),
}


def backbone_spec(name: str) -> BackboneSpec:
    """Return the backbone called `name`; raises ParamsError listing those there are."""
    if name not in BACKBONES:
        raise ParamsError(f"backbone {name!r} is unknown; there are {', '.join(BACKBONES)}")
    return BACKBONES[name]
