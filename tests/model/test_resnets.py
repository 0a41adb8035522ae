"""The paper's backbones; sizes are counted without memory, on PyTorch's meta device."""

from dataclasses import replace

import pytest
import torch
from torch.nn import BatchNorm2d
from torchvision.models.detection import (
    KeypointRCNN_ResNet50_FPN_Weights,
    keypointrcnn_resnet50_fpn,
)

from datastill.model.backbones import BACKBONES
from datastill.model.detector import build_detector
from datastill.model.resnets import IMAGENET, build_pyramid

CLASSIFIER = 2048 * 1000 + 1000  # the last layer of an ImageNet model
OF_MOBILENET = 1280 * 1000 + 1000 + 1280 * (320 + 2)  # and its last convolution, normalised
PUBLISHED = {  # parameters of the published classifiers; that of 32x4d as timm has it
    **{name: weights.meta["num_params"] for name, weights in IMAGENET.items()},
    "resnext101_32x4d": 44_177_704,
}


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_body_has_as_many_parameters_as_the_published_model(name):
    with torch.device("meta"):
        body = build_pyramid(replace(BACKBONES[name], frozen=())).body
    classifier = OF_MOBILENET if name == "mobilenet_v2" else CLASSIFIER
    assert parameters(body) == PUBLISHED[name] - classifier


def test_the_whole_is_torchvisions_keypoint_r_cnn_layer_by_layer():
    with torch.device("meta"):
        ours = build_detector("resnet50", 17).rcnn
        theirs = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    assert parameters(ours) == KeypointRCNN_ResNet50_FPN_Weights.COCO_V1.meta["num_params"]
    shapes = [
        {
            name: tuple(tensor.shape)
            for name, tensor in rcnn.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }
        for rcnn in (ours, theirs)
    ]
    assert shapes[0] == shapes[1]


def sampling(rcnn):
    rpn, heads = rcnn.rpn, rcnn.roi_heads
    return [
        rpn._pre_nms_top_n,
        rpn._post_nms_top_n,
        rpn.nms_thresh,
        vars(rpn.fg_bg_sampler),
        vars(heads.fg_bg_sampler),
        heads.nms_thresh,
        heads.score_thresh,
        rpn.anchor_generator.sizes,
        rpn.anchor_generator.aspect_ratios,
    ]


def test_anchors_proposals_and_samples_are_those_of_torchvision():
    with torch.device("meta"):
        ours = build_detector("resnet50", 17).rcnn
        theirs = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    assert sampling(ours) == sampling(theirs)
    assert ours.roi_heads.detections_per_img == 20


def test_a_body_keeps_its_first_layers_and_all_normalisation_unless_thawed():
    with torch.device("meta"):
        body, train_all_layers = (
            build_detector("resnet50", 17, train_all_layers=t).rcnn.backbone.body for t in (0, 1)
        )
    still = {name.split(".")[0] for name, p in body.named_parameters() if not p.requires_grad}
    assert still == {"conv1", "layer1"}
    assert not any(isinstance(module, BatchNorm2d) for module in body.modules())
    assert all(p.requires_grad for p in train_all_layers.parameters())
    assert any(isinstance(module, BatchNorm2d) for module in train_all_layers.modules())
