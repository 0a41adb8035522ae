"""The paper's backbones: ResNet and ResNeXt with a feature pyramid, as Mask R-CNN has them.

torchvision's ResNets stride in the 3x3 convolution of a block, the paper's in the 1x1 before it.
"""

from __future__ import annotations

from functools import partial

from torchvision.models import (
    ResNet50_Weights,
    ResNet101_Weights,
    ResNeXt101_64X4D_Weights,
    WeightsEnum,
)
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

from datastill.model.config import BackboneSpec

IMAGENET: dict[str, WeightsEnum] = {
    "resnet50": ResNet50_Weights.IMAGENET1K_V1,
    "resnet101": ResNet101_Weights.IMAGENET1K_V1,
    "resnext101_64x4d": ResNeXt101_64X4D_Weights.IMAGENET1K_V1,  # none of 32x4d is published there
}


def _spec(blocks: list[int], groups: int = 1, width: int = 64) -> BackboneSpec:
    """Return Mask R-CNN's keypoint detector on a ResNet of these `blocks` per layer."""
    return BackboneSpec(
        body=partial(
            ResNet, Bottleneck, blocks, groups=groups, width_per_group=width,
            norm_layer=FrozenBatchNorm2d,
        ),
        widths=(256, 512, 1024, 2048),
        pyramid_width=256,
        normalised=False,
        finest_stride=None,
        anchor_sizes=(32, 64, 128, 256, 512),
        box_features=1024,
        keypoint_layers=((512, 1),) * 8,
        heatmap=56,
        proposals=(2000, 1000),
        rpn_samples=256,
        box_samples=512,
        positive_share=0.25,
        frozen=("conv1", "bn1", "layer1"),  # Detectron's
    )  # fmt: skip


RESNETS = {
    "resnet50": _spec([3, 4, 6, 3]),
    "resnet101": _spec([3, 4, 23, 3]),
    "resnext101_32x4d": _spec([3, 4, 23, 3], groups=32, width=4),
    "resnext101_64x4d": _spec([3, 4, 23, 3], groups=64, width=4),
}
