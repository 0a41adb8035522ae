from operator import attrgetter

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torchvision.models.detection import KeypointRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.ops import box_iou

from datastill.errors import ParamsError
from datastill.model.backbones import BACKBONES
from datastill.model.detector import SIZE_DIVISIBLE, Batch, build_detector, count_parameters
from datastill.model.resnets import build_pyramid

LOSSES = {
    "loss_objectness",
    "loss_rpn_box_reg",
    "loss_classifier",
    "loss_box_reg",
    "loss_keypoint",
}


class Listener(nn.Module):
    """A module that remembers the types of what it is called with."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, batch):
        tensors = batch if isinstance(batch, tuple) else (*batch.images, *batch.targets[0].values())
        self.heard = [tensor.dtype for tensor in tensors]
        return self.layer(torch.ones(1, 2))


@pytest.fixture
def listener():
    """A Listener behind Fabric in bf16, and the Listener itself."""
    module = Listener()
    return Fabric(accelerator="cpu", devices=1, precision="bf16-mixed").setup(module), module


def test_an_unknown_backbone_is_named_with_those_there_are():
    with pytest.raises(ParamsError, match=f"'vast' is unknown; there are {', '.join(BACKBONES)}"):
        build_detector("vast", 17)


@pytest.mark.parametrize(("name", "stride"), [("small", 4), ("resnet50", 4)])
def test_every_backbone_predicts_in_its_own_sizes(name, stride, images):
    detector = build_detector(name, 3).eval()
    with torch.inference_mode():
        batch, features = detector.features(images((64, 96)))
        (heatmaps,) = detector.heatmaps(batch, features, [torch.tensor([[8.0, 8, 40, 60]])])
    assert detector.heatmap == BACKBONES[name].heatmap
    assert heatmaps.shape == (1, 3, detector.heatmap, detector.heatmap)
    assert features["0"].shape[-1] == 96 / stride
    assert len(BACKBONES[name].anchor_sizes) == len(features) - (name == "small")


def test_the_losses_have_names_and_are_finite_with_an_image_without_people(detector, batch):
    losses = detector.train()(batch)
    assert losses.keys() == LOSSES
    assert all(torch.isfinite(loss) and loss.ndim == 0 for loss in losses.values())
    assert all(loss > 0 for loss in losses.values())


def test_every_parameter_learns_from_a_batch(detector, batch):
    sum(detector.train()(batch).values()).backward()
    dead = [
        name
        for name, parameter in detector.named_parameters()
        if parameter.requires_grad and not (parameter.grad is not None and parameter.grad.any())
    ]
    assert dead == []
    assert all(p.grad.isfinite().all() for p in detector.parameters() if p.requires_grad)


def test_a_batch_without_anybody_neither_fails_nor_spoils_the_statistics(detector, images, people):
    losses = detector.train()(Batch(images((96, 128), (96, 128)), [people(), people()]))
    sum(losses.values()).backward()
    assert losses.keys() == LOSSES
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert losses["loss_keypoint"] == losses["loss_box_reg"] == 0
    assert all(torch.isfinite(buffer).all() for buffer in detector.buffers())


def test_a_few_steps_lower_the_loss_of_a_batch(detector, batch):
    optimizer = torch.optim.SGD(detector.train().parameters(), lr=0.02, momentum=0.9)
    totals = []
    for _ in range(6):
        torch.manual_seed(0)
        total = sum(detector(batch).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.9 * totals[0]


def test_a_batch_is_padded_below_and_right_and_remembers_its_sizes(detector, images):
    with torch.inference_mode():
        batch, features = detector.features(images((90, 120), (75, 128)))
    assert batch.image_sizes == [(90, 120), (75, 128)]
    assert batch.tensors.shape == (2, 3, 96, 128)
    assert all(side % SIZE_DIVISIBLE == 0 for side in batch.tensors.shape[-2:])
    assert batch.tensors[0, :, :90, :120].all()
    assert not batch.tensors[0, :, 90:].any()
    assert not batch.tensors[0, :, :, 120:].any()
    assert features["0"].shape == (2, 64, 24, 32)


def test_images_keep_their_scale(detector, images):
    """KeypointRCNN would enlarge every image to a short side of 640."""
    seen = []
    detector.rcnn.backbone.register_forward_hook(lambda _, given, __: seen.append(given[0].shape))
    with torch.inference_mode():
        detector.features(images((64, 96)))
    assert seen == [(1, 3, 64, 96)]


def test_boxes_are_in_the_frame_of_the_network_and_within_their_own_image(detector, images):
    sizes = [(96, 128), (50, 60)]
    with torch.inference_mode():
        found = detector.boxes(*detector.features(images(*sizes)))
    assert len(found) == 2
    for (height, width), instances in zip(sizes, found, strict=True):
        assert 0 < len(instances) <= 20
        x1, y1, x2, y2 = instances.boxes.unbind(-1)
        assert (x1 >= 0).all()
        assert (y1 >= 0).all()
        assert (x2 <= width).all()
        assert (y2 <= height).all()
        assert (x1 < x2).all()
        assert (y1 < y2).all()
        assert instances.keypoints.shape == (len(instances), 0, 3)
    assert found[0].boxes[:, 2].max() > 60


def test_boxes_are_people_sorted_by_score_who_do_not_overlap_by_half(detector, images):
    with torch.inference_mode():
        (found,) = detector.boxes(*detector.features(images((96, 128))))
    assert (found.labels == 1).all()
    assert found.scores.min() > 0
    assert found.scores.max() <= 1
    assert (found.scores.diff() <= 0).all()
    assert (box_iou(found.boxes, found.boxes).fill_diagonal_(0) <= 0.5).all()


def test_heatmaps_come_per_image_and_box_and_only_from_them(detector, images):
    boxes = [
        torch.tensor([[5.0, 5, 60, 90], [40, 20, 128, 96]]),
        torch.zeros(0, 4),
        torch.tensor([[10.0, 10, 30, 70]]),
    ]
    three = images((96, 128), (96, 128), (96, 128))
    with torch.inference_mode():
        heatmaps = detector.heatmaps(*detector.features(three), boxes)
        (alone,) = detector.heatmaps(*detector.features(three[2:]), boxes[2:])
    assert [tuple(h.shape) for h in heatmaps] == [(n, 5, 28, 28) for n in (2, 0, 1)]
    assert heatmaps[0].dtype == torch.float32
    torch.testing.assert_close(heatmaps[2], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(heatmaps[0][0], heatmaps[0][1], atol=1e-3)


def test_the_features_of_an_image_do_not_depend_on_the_others(detector, images):
    one, other, third = images((96, 128), (96, 128), (96, 128))
    with torch.inference_mode():
        _, alone = detector.features([one])
        _, together = detector.features([other, one, third])
    assert alone.keys() == together.keys() == {"0", "1", "2", "3", "pool"}
    for level in alone:
        torch.testing.assert_close(together[level][1:2], alone[level], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(together[level][:1], alone[level], atol=1e-3)


def test_predicting_changes_nothing_in_the_detector(detector, images):
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    with torch.inference_mode():
        first = detector.boxes(*detector.features(images((96, 128))))
        again = detector.boxes(*detector.features(images((96, 128))))
    assert torch.equal(first[0].boxes, again[0].boxes)
    assert all(torch.equal(before[name], value) for name, value in detector.state_dict().items())


def test_nobody_is_proposed_from_the_finest_level(detector, images):
    with torch.inference_mode():
        batch, features = detector.features(images((96, 128)))
        coarse, _ = detector.rcnn.rpn(batch, features)
        noisy, _ = detector.rcnn.rpn(batch, {**features, "0": torch.rand_like(features["0"])})
        other, _ = detector.rcnn.rpn(batch, {**features, "1": torch.rand_like(features["1"])})
    assert torch.equal(coarse[0], noisy[0])
    assert not torch.equal(coarse[0], other[0])


def test_fabric_does_not_round_the_coordinates_of_a_batch(listener, images, people):
    model, module = listener
    model(Batch(images((8, 8)), [people([1, 2, 3, 4])]))
    assert module.heard == [torch.float32, torch.float32, torch.int64, torch.float32, torch.float32]


def test_fabric_would_round_them_in_a_tuple(listener):
    """Why Batch is a class of its own; where this fails, it need no longer be one."""
    model, module = listener
    model((torch.rand(2), torch.rand(3)))
    assert module.heard == [torch.bfloat16] * 2


def test_boxes_are_single_precision_under_bf16(detector, images):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        batch, features = detector.features(images((96, 128)))
        (found,) = detector.boxes(batch, features)
        (heatmaps,) = detector.heatmaps(batch, features, [found.boxes])
    assert isinstance(batch, ImageList)
    assert features["0"].dtype == torch.bfloat16
    assert found.boxes.dtype == found.scores.dtype == heatmaps.dtype == torch.float32
    assert (found.boxes != found.boxes.bfloat16()).any()


def test_parameters_are_counted_once_and_only_those_that_learn():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    assert count_parameters(model) == 3 * 2 + 2 + 2 * 2
    model[0].requires_grad_(False)
    assert count_parameters(model) == 4


def test_prediction_pads_as_training_does(detector, images, people):
    shapes = []
    detector.rcnn.backbone.register_forward_hook(
        lambda _, given, __: shapes.append(tuple(given[0].shape))
    )
    detector.train()(Batch(images((48, 80)), [people()]))
    detector.eval().features(images((48, 80)))
    assert shapes == [(1, 3, 48, 80)] * 2


BOX_LOSSES = LOSSES - {"loss_keypoint"}


@pytest.fixture
def boxes():
    """The smallest detector of boxes of seven categories, ready to predict."""
    torch.manual_seed(0)
    return build_detector("small", 0, categories=7).eval()


@pytest.mark.parametrize("name", ["small", "resnet50"])
def test_without_keypoints_every_backbone_detects_boxes_of_as_many_categories_as_asked(
    name, images
):
    detector = build_detector(name, 0, categories=80).eval()
    heads = detector.rcnn.roi_heads
    assert heads.box_predictor.cls_score.out_features == 81
    assert not heads.has_keypoint()
    assert heads.detections_per_img == 100
    assert detector.heatmap == 0
    with torch.inference_mode():
        (found,) = detector.boxes(*detector.features(images((64, 96))))
    assert found.keypoints.shape == (len(found), 0, 3)


def test_boxes_learn_from_several_categories_and_from_nothing(boxes, images, people):
    objects = people([20, 10, 70, 90], [5, 5, 30, 30]) | {"labels": torch.tensor([7, 2])}
    losses = boxes.train()(Batch(images((96, 128), (90, 120)), [objects, people()]))
    assert losses.keys() == BOX_LOSSES
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    dead = [n for n, p in boxes.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_found_boxes_have_labels_from_1_on_and_overlap_by_half_only_across_categories(
    boxes, images
):
    boxes.rcnn.roi_heads.score_thresh = 0.0
    with torch.inference_mode():
        (found,) = boxes.boxes(*boxes.features(images((96, 128))))
    assert len(found) == 100
    assert 1 <= found.labels.min() < found.labels.max() <= 7
    overlaps = box_iou(found.boxes, found.boxes).fill_diagonal_(0) > 0.5
    assert overlaps.any()
    assert not (overlaps & (found.labels[:, None] == found.labels)).any()


def test_small_boxes_are_proposed_from_the_finest_level(boxes, images):
    with torch.inference_mode():
        batch, features = boxes.features(images((96, 128)))
        fine, _ = boxes.rcnn.rpn(batch, features)
        noisy, _ = boxes.rcnn.rpn(batch, {**features, "0": torch.rand_like(features["0"])})
    assert not torch.equal(fine[0], noisy[0])


@pytest.mark.slow
def test_a_keypoint_detector_is_torchvisions_own_to_the_bit():
    """Boxes share its construction: the same random draws must still give the same weights."""
    torch.manual_seed(5)
    ours = build_detector("resnet50", 17).rcnn
    torch.manual_seed(5)
    pyramid = build_pyramid(BACKBONES["resnet50"])
    theirs = KeypointRCNN(
        pyramid,
        box_head=TwoMLPHead(256 * 49, 1024),
        box_predictor=FastRCNNPredictor(1024, 2),
        keypoint_head=KeypointRCNNHeads(256, [512] * 8),
        keypoint_predictor=KeypointRCNNPredictor(512, 17),
    )
    expected = theirs.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("part", ["rpn.rpn", "roi_heads"])  # the former leaves out a level
def test_boxes_keep_their_fractions_where_the_network_is_in_bf16(part):
    coder = attrgetter(part)(build_detector("small", 17).rcnn).box_coder
    anchors = torch.tensor([[300.3, 200.2, 311.4, 220.9]])
    nowhere = torch.zeros(1, 4, dtype=torch.bfloat16)
    found = coder.decode(nowhere, [anchors])[:, 0]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, anchors, rtol=0, atol=1e-3)


def test_a_box_below_a_pixel_far_from_the_corner_costs_a_finite_loss_in_bf16():
    torch.manual_seed(0)
    detector = build_detector("small", 0, categories=2).train()
    target = {
        "boxes": torch.tensor([[300.2, 200.1, 300.9, 200.4]]),
        "labels": torch.ones(1, dtype=torch.int64),
        "ignored": torch.zeros(0, 4),
    }
    with torch.autocast("cpu", torch.bfloat16):
        losses = detector(Batch([torch.rand(3, 240, 320)], [target]))
    assert all(torch.isfinite(loss) for loss in losses.values()), losses
