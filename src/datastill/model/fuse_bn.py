"""A frozen normalisation is only a scale and a shift: in the convolution before it, it is free."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import FrozenBatchNorm2d

from datastill.model.detector import Detector


@torch.no_grad()
def fold(detector: Detector) -> Detector:
    """Return `detector`, changed for prediction alone: the same function, but for rounding.

    Frozen normalisations go into their convolutions, whose weights are laid out channels last. A
    detector that has none, as the miniature's, stays as it is, to the bit.
    """
    folded = False
    for module in list(detector.modules()):
        for (_, before), (name, layer) in pairwise(list(module.named_children())):
            if isinstance(layer, FrozenBatchNorm2d):
                _fold(before, layer)
                setattr(module, name, nn.Identity())
                folded = True
    return detector.to(memory_format=torch.channels_last) if folded else detector


def _fold(convolution: Any, norm: Any) -> None:
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps,
        norm.weight, norm.bias,
    )  # fmt: skip
