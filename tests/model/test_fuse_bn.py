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


@pytest.mark.slow
@torch.inference_mode()
def test_a_fused_detector_is_the_same_function(images):
    torch.manual_seed(0)
    original = scattered(build_detector("resnet50", 17).eval())
    fused = fuse(copy.deepcopy(original))
    assert not any(isinstance(module, FrozenBatchNorm2d) for module in fused.modules())
    (_, before), (_, after) = (each.features(images) for each in (original, fused))
    for level, features in before.items():
        scale = features.abs().max()
        assert (after[level] - features).abs().max() < 1e-4 * scale
        assert features.std() > 1e-3 * scale


@torch.inference_mode()
def test_a_detector_without_frozen_layers_stays_as_it_is(images):
    torch.manual_seed(0)
    original = build_detector("small", 17).eval()
    fused = fuse(copy.deepcopy(original))
    assert str(fused) == str(original)
    (_, before), (_, after) = (each.features(images) for each in (original, fused))
    assert all(torch.equal(before[level], after[level]) for level in before)
