"""The bodies of MobileNets against torchvision's own, with random weights of their own."""

import copy

import pytest
import torch
from torch.nn import BatchNorm2d
from torchvision.models import get_model
from torchvision.ops import FrozenBatchNorm2d

from datastill.errors import DataError
from datastill.io import digest
from datastill.model.backbones import BACKBONES
from datastill.model.detector import Batch, build_detector
from datastill.model.fuse_bn import fuse
from datastill.model.mobilenet import mobilenet_body
from datastill.model.pretrained import start_from
from datastill.model.resnets import build_pyramid

NAMES = ("mobilenet_v2", "mobilenet_v3_large")


def scattered(module):
    """The module with normalisations that scale and shift, as trained ones do."""
    generator = torch.Generator().manual_seed(2)
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point():
            low = 0.5 if name.endswith("running_var") else -0.2
            buffer.copy_(low + 0.6 * torch.rand(buffer.shape, generator=generator))
    for part in module.modules():
        if isinstance(part, BatchNorm2d | FrozenBatchNorm2d):
            part.weight.data.uniform_(0.6, 1.2, generator=generator)
            part.bias.data.uniform_(-0.2, 0.2, generator=generator)
    return module.eval()


@pytest.fixture
def classifier():
    torch.manual_seed(4)
    return scattered(get_model("mobilenet_v2"))


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_a_body_computes_what_torchvisions_does_block_by_block(name, images):
    torch.manual_seed(4)
    reference = scattered(get_model(name, norm_layer=FrozenBatchNorm2d)).features
    body = mobilenet_body(name, FrozenBatchNorm2d)
    own = {
        k: t
        for k, t in reference.state_dict().items()
        if k.partition(".")[0] in dict(body.named_children())
    }
    body.load_state_dict(own)
    x = y = images((70, 90))[0][None]
    for block, expected in zip(body, reference, strict=False):
        x, y = block(x), expected(y)
        torch.testing.assert_close(x, y, atol=1e-4 * float(y.abs().max()), rtol=0)
    assert y.std() > 1e-3


@torch.inference_mode()
def test_the_pyramid_reads_the_last_layer_of_each_stride(images):
    pyramid = build_pyramid(BACKBONES["mobilenet_v2"]).eval()
    maps = pyramid.body(images((64, 96))[0][None])
    assert [tuple(level.shape[1:]) for level in maps.values()] == [
        (24, 16, 24),
        (32, 8, 12),
        (96, 4, 6),
        (320, 2, 3),
    ]


def test_torchvisions_state_dict_is_a_start_and_its_classifier_is_left(tmp_path, classifier):
    torch.save(classifier.state_dict(), tmp_path / "mobilenet_v2.pth")
    detector = build_detector("mobilenet_v2", 4)
    heads = copy.deepcopy(detector.rcnn.roi_heads.state_dict())
    assert start_from(tmp_path / "mobilenet_v2.pth", detector) == digest(
        tmp_path / "mobilenet_v2.pth"
    )
    learned = classifier.features.state_dict()
    body = detector.rcnn.backbone.body.state_dict()
    assert {name.partition(".")[0] for name in body} == {str(block) for block in range(18)}
    assert all(torch.equal(tensor, learned[name]) for name, tensor in body.items())
    kept = detector.rcnn.roi_heads.state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in heads.items())


def test_a_state_dict_that_lacks_a_block_is_refused(tmp_path, classifier):
    state = {k: t for k, t in classifier.state_dict().items() if "features.17." not in k}
    torch.save(state, tmp_path / "cut.pth")
    with pytest.raises(DataError, match=r"cut\.pth: not initial weights of this backbone"):
        start_from(tmp_path / "cut.pth", build_detector("mobilenet_v2", 4))


def test_frozen_layers_get_no_gradient_and_all_others_do(images, people):
    torch.manual_seed(0)
    detector = build_detector("mobilenet_v2", 5).train()
    scattered(detector.rcnn.backbone.body)
    batch = Batch(images((96, 128), (90, 120)), [people([20, 10, 70, 90]), people()])
    sum(detector(batch).values()).backward()
    body = dict(detector.rcnn.backbone.body.named_parameters())
    without = {name.partition(".")[0] for name, p in body.items() if p.grad is None}
    assert without == {*BACKBONES["mobilenet_v2"].frozen} == {"0", "1", "2", "3"}
    assert all(p.grad.any() for name, p in body.items() if name.partition(".")[0] not in without)
    assert not any(isinstance(m, BatchNorm2d) for m in detector.rcnn.backbone.body.modules())


def test_from_random_weights_everything_is_trained():
    body = build_detector("mobilenet_v2", 5, train_all_layers=True).rcnn.backbone.body
    assert all(parameter.requires_grad for parameter in body.parameters())
    assert not any(isinstance(module, FrozenBatchNorm2d) for module in body.modules())


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_a_fused_body_is_the_same_function(name, images):
    torch.manual_seed(3)
    detector = build_detector(name, 5).eval()
    scattered(detector.rcnn.backbone.body)
    _, before = copy.deepcopy(detector).features(images((64, 96)))
    fused = fuse(detector)
    _, after = fused.features(images((64, 96)))
    for level, expected in before.items():
        torch.testing.assert_close(after[level], expected, atol=1e-4, rtol=1e-4)
    body = fused.rcnn.backbone.body
    assert not any(isinstance(module, FrozenBatchNorm2d) for module in body.modules())


def test_boxes_have_a_finer_level_of_proposals_and_no_keypoint_head():
    detector = build_detector("mobilenet_v2", 0, categories=3)
    assert detector.heatmap == 0
    assert len(detector.rcnn.rpn.anchor_generator.sizes) == 5
    assert detector.rcnn.roi_heads.box_predictor.cls_score.out_features == 4
