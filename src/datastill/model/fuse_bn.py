"""Frozen normalisations fused into the preceding convolutions, at no cost."""

from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import FrozenBatchNorm2d

from datastill.model.detector import Detector


@torch.no_grad()
def fuse(detector: Detector) -> Detector:
    """Return `detector`, changed for prediction only: the same function up to rounding.

    Its weights are then laid out channels last. A detector without frozen normalisations, such as
    the miniature's, stays bit-identical.
    """
    fused = False
    for module in list(detector.modules()):
        for (_, before), (name, layer) in pairwise(list(module.named_children())):
            if isinstance(layer, FrozenBatchNorm2d):
                conv: Any = before
                conv.weight, conv.bias = fuse_conv_bn_weights(
                    conv.weight, conv.bias, layer.running_mean, layer.running_var, layer.eps,
                    layer.weight, layer.bias,
                )  # fmt: skip
                setattr(module, name, nn.Identity())
                fused = True
    return detector.to(memory_format=torch.channels_last) if fused else detector
