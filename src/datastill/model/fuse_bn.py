"""Frozen normalisations fused into the convolutions before them, where they cost nothing."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import FrozenBatchNorm2d

from datastill.model.detector import Detector


@torch.no_grad()
def fuse(detector: Detector) -> Detector:
    """Return `detector`, changed for prediction alone: the same function but for rounding.

    Its weights are then laid out channels last. A detector without frozen normalisations, as the
    miniature's, stays as it is, to the bit.
    """
    fused = False
    for module in list(detector.modules()):
        for (_, before), (name, layer) in pairwise(list(module.named_children())):
            if isinstance(layer, FrozenBatchNorm2d):
                _fuse(before, layer)
                setattr(module, name, nn.Identity())
                fused = True
    return detector.to(memory_format=torch.channels_last) if fused else detector


def _fuse(convolution: Any, norm: Any) -> None:
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps,
        norm.weight, norm.bias,
    )  # fmt: skip
