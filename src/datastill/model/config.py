"""Architecture and sampling of a detector, by backbone: plain data that needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BackboneSpec:
    """One detector size.

    widths             channels of the body's layers `layer1` to `layer4`
    pyramid_width      channels of the feature pyramid
    normalised         whether the pyramid and the keypoint head have batch normalisation
    finest_stride      pixels per cell of the finest level, "0", if all boxes are pooled from it;
                       None pools a box from the level of its size (FPN)
    anchor_sizes       pixels, one per level that proposes boxes; with one size too few, the finest
                       level does not propose
    box_features       width of the two fully connected box layers
    keypoint_layers    (channels, dilation) of the keypoint head's 3x3 convolutions
    heatmap            bins per side of a keypoint heatmap: 28, or 56 by bilinear doubling
    proposals          boxes kept per image after the RPN's NMS (training, test)
    rpn_samples, box_samples   anchors and boxes per image that enter the loss
    positive_share     of the sampled boxes that lie on objects; these also train the keypoint head
    blocks             bottleneck blocks of each layer of a ResNet; () is SmallResNet
    groups, group_width   of a ResNeXt's 3x3 convolutions
    frozen             layers that keep their initial weights; the body's batch normalisation then
                       keeps its statistics too
    """

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
    blocks: tuple[int, ...] = ()
    groups: int = 1
    group_width: int = 64
    frozen: tuple[str, ...] = ()
