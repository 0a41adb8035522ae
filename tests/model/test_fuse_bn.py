import copy

import pytest
import torch
from torchvision.ops import FrozenBatchNorm2d

from datastill.model.detector import build_detector
from datastill.model.fuse_bn import fuse


@pytest.fixture
def images():
    return [torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(1))]


def scattered(detector):
    """The detector with normalisations that scale and shift, as trained ones do."""
    generator = torch.Generator().manual_seed(2)
    for module in detector.modules():
        if isinstance(module, FrozenBatchNorm2d):
            for name, buffer in module.named_buffers():
                low = 0.5 if name in ("weight", "running_var") else -0.2
                buffer.copy_(low + 0.4 * torch.rand(buffer.shape, generator=generator))
    return detector


@torch.inference_mode()
def test_a_folded_detector_is_the_same_function(images):
    torch.manual_seed(0)
    plain = scattered(build_detector("resnet50", 17).eval())
    folded = fuse(copy.deepcopy(plain))
    assert not any(isinstance(module, FrozenBatchNorm2d) for module in folded.modules())
    (_, before), (_, after) = (each.features(images) for each in (plain, folded))
    for level, features in before.items():
        scale = features.abs().max()
        assert (after[level] - features).abs().max() < 1e-4 * scale
        assert features.std() > 1e-3 * scale


@torch.inference_mode()
def test_a_detector_without_frozen_layers_stays_as_it_is(images):
    torch.manual_seed(0)
    plain = build_detector("small", 17).eval()
    folded = fuse(copy.deepcopy(plain))
    assert str(folded) == str(plain)
    (_, before), (_, after) = (each.features(images) for each in (plain, folded))
    assert all(torch.equal(before[level], after[level]) for level in before)
