"""The bodies for photographs on a CPU: torchvision's MobileNets without their classifiers."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import get_model
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops import Conv2dNormActivation, FrozenBatchNorm2d

BLOCKS = 18  # of a MobileNetV2, before its last convolution, which classifies; a V3 has 17


class FoldedSequential(nn.Sequential):
    """Layers in sequence; a convolution and the frozen normalisation behind it are one operation.

    The same function up to rounding, with one pass over memory less.
    """

    def forward(self, x: Tensor) -> Tensor:
        for layer, following in pairwise([*self, None]):
            if isinstance(following, FrozenBatchNorm2d):
                x = _normalised(layer, following, x)
            elif not isinstance(layer, FrozenBatchNorm2d):
                x = layer(x)
        return x


def _normalised(convolution: Any, norm: FrozenBatchNorm2d, x: Tensor) -> Tensor:
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    weight = convolution.weight * scale[:, None, None, None]
    return functional.conv2d(
        x, weight, norm.bias - norm.running_mean * scale,
        convolution.stride, convolution.padding, groups=convolution.groups,
    )  # fmt: skip


def mobilenet_body(name: str, norm: Callable[..., nn.Module]) -> nn.Sequential:
    """Return the blocks, "0" to "17", of a MobileNet with fresh weights, normalised by `norm`."""
    body = get_model(name, norm_layer=norm).features[:BLOCKS]
    for block in reversed(list(body.modules())):  # inner layers first
        for name, layers in list(block.named_children()):
            if isinstance(layers, Conv2dNormActivation) or isinstance(block, InvertedResidual):
                setattr(block, name, FoldedSequential(*layers))
    # Channels last: depthwise convolutions on a CPU are faster so.
    return body.to(memory_format=torch.channels_last)


def body_weights(classifier: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the body from those of torchvision's classifier."""
    names = {name.removeprefix("features."): tensor for name, tensor in classifier.items()}
    blocks = {str(block) for block in range(BLOCKS)}
    return {name: tensor for name, tensor in names.items() if name.partition(".")[0] in blocks}
