"""Architecture and sampling of a detector, by backbone: plain data that needs no torch."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class BackboneSpec:
    """One detector size."""

    widths: tuple[int, ...]  # channels of the body's `layers`
    pyramid_width: int  # channels of the feature pyramid
    normalised: bool  # whether the pyramid and the keypoint head have batch normalisation
    # Pixels per cell of the finest level if all boxes are pooled from it; None pools by size (FPN).
    finest_stride: int | None
    # Pixels, one per level that proposes boxes; with one too few, the finest does not propose.
    anchor_sizes: tuple[int, ...]
    box_features: int  # width of the two fully connected box layers
    keypoint_layers: tuple[tuple[int, int], ...]  # (channels, dilation) of 3x3 convolutions
    heatmap: int  # bins per side of a keypoint heatmap: 28, or 56 by bilinear doubling
    proposals: tuple[int, int]  # boxes kept per image after the RPN's NMS (training, test)
    rpn_samples: int  # anchors per image that enter the loss
    box_samples: int  # boxes per image that enter the loss
    positive_share: float  # share of these boxes on objects; they also train the keypoint head
    body: Literal["small_resnet", "resnet", "mobilenet_v2", "mobilenet_v3_large"] = "small_resnet"
    layers: tuple[str, ...] = (
        "layer1",
        "layer2",
        "layer3",
        "layer4",
    )  # of the body, to the pyramid
    blocks: tuple[int, ...] = ()  # bottleneck blocks of each layer of a ResNet
    groups: int = 1  # of a ResNeXt's 3x3 convolutions
    group_width: int = 64
    # If given, each of so many levels proposes boxes of all anchor sizes.
    levels_of_all_sizes: int = 0
    min_objectness: float = 0.0  # of a proposal
    # Layers that keep their initial weights; normalisation in the body then keeps its statistics.
    frozen: tuple[str, ...] = ()
