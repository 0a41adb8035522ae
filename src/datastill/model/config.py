"""Everything of a detector that depends on its backbone, in one record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN

KEYPOINT_BINS = 14  # per side of a box, as pooled for the keypoint head


@dataclass(frozen=True)
class BackboneSpec:
    """One detector size.

    body               makes the bottom-up network, of layers `layer1` to `layer4`
    widths             channels of these four layers
    pyramid_width      channels of the feature pyramid on top of it
    normalised         whether pyramid and keypoint head have batch normalisation
    finest_stride      pixels per cell of the finest level, "0", if all boxes are pooled from it;
                       None pools a box from the level of its size (FPN)
    anchor_sizes       one anchor size in pixels per level that proposes boxes, the finest level
                       being left out where there is one size too few
    box_features       width of the two fully connected box layers
    keypoint_layers    (channels, dilation) of the 3x3 convolutions of the keypoint head
    heatmap            bins per side of a keypoint heatmap: 28, or 56 by bilinear doubling
    proposals          RPN boxes kept per image (training, test)
    rpn_samples, box_samples   anchors and boxes per image that enter the loss
    positive_share     of the boxes: those that lie on objects, and so teach the keypoint head
    frozen             layers of `body` that keep their initial weights
    """

    body: Callable[..., nn.Module]
    widths: tuple[int, int, int, int]
    pyramid_width: int
    normalised: bool
    finest_stride: int | None
    anchor_sizes: tuple[int, ...]
    box_features: int
    keypoint_layers: tuple[tuple[int, int], ...]
    heatmap: int
    proposals: tuple[int, int]
    rpn_samples: int
    box_samples: int
    positive_share: float
    frozen: tuple[str, ...] = ()

    def build(self) -> BackboneWithFPN:
        """Return body and pyramid with fresh weights."""
        layers = {f"layer{i + 1}": str(i) for i in range(4)}
        pyramid = BackboneWithFPN(
            self.body(), layers, list(self.widths), self.pyramid_width,
            norm_layer=nn.BatchNorm2d if self.normalised else None,
        )  # fmt: skip
        for name in self.frozen:
            pyramid.body[name].requires_grad_(False)
        return pyramid

    def train_all_layers(self) -> BackboneSpec:
        """Return a spec that learns every layer: random weights must not stay as they are."""
        if not self.frozen:
            return self
        return replace(self, frozen=(), body=partial(self.body, norm_layer=nn.BatchNorm2d))
