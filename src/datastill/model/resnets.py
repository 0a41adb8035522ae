"""Bodies and feature pyramids of the backbones.

torchvision's ResNets stride in the 3x3 convolution of a block, the paper's in the 1x1 before it.
"""

from torch import nn
from torchvision import models
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

from datastill.model.config import BackboneSpec
from datastill.model.mobilenet import mobilenet_body
from datastill.model.small_resnet import small_resnet

# torchvision has none of resnext101_32x4d.
IMAGENET: dict[str, models.WeightsEnum] = {
    "mobilenet_v2": models.MobileNet_V2_Weights.IMAGENET1K_V1,
    "resnet50": models.ResNet50_Weights.IMAGENET1K_V1,
    "resnet101": models.ResNet101_Weights.IMAGENET1K_V1,
    "resnext101_64x4d": models.ResNeXt101_64X4D_Weights.IMAGENET1K_V1,
}


def build_body(spec: BackboneSpec) -> nn.Module:
    """Return the bottom-up network of `spec` with fresh weights, none of them frozen."""
    norm = FrozenBatchNorm2d if spec.frozen else nn.BatchNorm2d
    if spec.body == "small_resnet":
        return small_resnet(spec.widths)
    if spec.body in ("mobilenet_v2", "mobilenet_v3_large"):
        return mobilenet_body(spec.body, norm)
    groups = {"groups": spec.groups, "width_per_group": spec.group_width}
    return ResNet(Bottleneck, spec.blocks, **groups, norm_layer=norm)


def build_pyramid(spec: BackboneSpec) -> BackboneWithFPN:
    """Return the body and the pyramid of `spec` with fresh weights."""
    layers = {layer: str(i) for i, layer in enumerate(spec.layers)}
    norm = nn.BatchNorm2d if spec.normalised else None
    pyramid = BackboneWithFPN(
        build_body(spec), layers, list(spec.widths), spec.pyramid_width, norm_layer=norm
    )
    for name in spec.frozen:
        pyramid.body[name].requires_grad_(False)
    return pyramid
