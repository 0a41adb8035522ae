"""torchvision's R-CNNs, opened where the method needs it: boxes once, heatmaps at boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, KeypointRCNN
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.rpn import RegionProposalNetwork

from datastill.instances import Instances
from datastill.model.backbones import backbone_spec
from datastill.model.config import KEYPOINT_BINS, BackboneSpec
from datastill.model.ignore_regions import IgnoringHeads, IgnoringProposals
from datastill.model.matmul_roi_align import MatmulRoIAlign

ASPECTS = (0.5, 1.0, 2.0)
BOX_BINS = 7  # per side of a box, as pooled for the box head
SIZE_DIVISIBLE = 16  # a batch is padded to a multiple of this; the pyramid itself needs none


class Batch:
    """Images and targets of one training step.

    No tuple or dataclass on purpose: Fabric would look inside and round coordinates to bf16.
    """

    def __init__(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> None:
        self.images, self.targets = images, targets


class Detector(nn.Module):
    """A detector of people's keypoints, or of boxes of any categories.

    Images are (3, h, w) in [0, 1] at network scale, and so are boxes.
    """

    def __init__(self, rcnn: FasterRCNN, heatmap: int) -> None:
        super().__init__()
        self.rcnn = rcnn
        self.heatmap = heatmap  # bins per side; 0 without keypoints

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the training losses by name; targets hold boxes, labels, keypoints, ignored."""
        losses: dict[str, Tensor] = self.rcnn(batch.images, batch.targets)
        return losses

    def features(self, images: Sequence[Tensor]) -> tuple[ImageList, dict[str, Tensor]]:
        """Return the normalised, padded batch and its feature pyramid."""
        transform = self.rcnn.transform
        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        normal = [transform.normalize(image) for image in images]
        tensors = transform.batch_images(normal, SIZE_DIVISIBLE)
        return ImageList(tensors, sizes), self.rcnn.backbone(tensors)

    def boxes(self, batch: ImageList, features: dict[str, Tensor]) -> list[Instances]:
        """Return the final boxes of every image, after NMS, without keypoints.

        Their labels are the network's, from 1 on.
        """
        proposals, _ = self.rcnn.rpn(batch, features)
        heads = self.rcnn.roi_heads
        pooled = heads.box_head(heads.box_roi_pool(features, proposals, batch.image_sizes))
        logits, regression = heads.box_predictor(pooled)
        found = heads.postprocess_detections(
            logits.float(), regression.float(), proposals, batch.image_sizes
        )
        return [
            Instances(boxes, scores, labels, boxes.new_zeros(len(boxes), 0, 3))
            for boxes, scores, labels in zip(*found, strict=True)
        ]

    def heatmaps(
        self, batch: ImageList, features: dict[str, Tensor], boxes: list[Tensor]
    ) -> list[Tensor]:
        """Return per image the keypoint logits (n, k, m, m) inside its given `boxes` (n, 4)."""
        heads = self.rcnn.roi_heads
        pooled = heads.keypoint_roi_pool(features, boxes, batch.image_sizes)
        hidden = heads.keypoint_head(pooled)
        with torch.autocast(hidden.device.type, enabled=False):  # bf16 here would move peaks
            logits = heads.keypoint_predictor(hidden.float())
        return list(logits.split([len(b) for b in boxes]))


class ExactBoxCoder(BoxCoder):
    """Boxes from anchors and a network's offsets, in fp32 whatever the network's precision.

    torchvision's own brings anchors to that of the offsets, and the heads bring the true boxes to
    that of the proposals: in bf16 to multiples of 1 pixel at 200, of 4 pixels at 600.
    """

    def decode_single(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """Return (n, 4 c) boxes of offsets (n, 4 c) to `boxes` (n, 4)."""
        decoded: Tensor = super().decode_single(rel_codes.float(), boxes)
        return decoded


class CoarseProposals(nn.Module):
    """An RPN that leaves out the finest level: people are too large to be proposed there."""

    def __init__(self, rpn: RegionProposalNetwork) -> None:
        super().__init__()
        self.rpn = rpn

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return the proposals of every image and, in training, the losses."""
        coarse = {name: level for name, level in features.items() if name != "0"}
        found: tuple[list[Tensor], dict[str, Tensor]] = self.rpn(images, coarse, targets)
        return found


def build_detector(
    backbone: str, keypoints: int, *, categories: int = 1, train_all_layers: bool = False
) -> Detector:
    """Return a detector of persons with that many keypoints, with fresh weights; without
    keypoints, one of boxes of that many `categories`.

    It keeps the layers that its backbone freezes unless it is `thawed`, to learn from nothing.
    Raises ParamsError when no backbone has that name.
    """
    spec = backbone_spec(backbone, keypoints)
    spec = spec.train_all_layers() if train_all_layers else spec
    pyramid = spec.build()
    channels = pyramid.out_channels
    parts: dict[str, Any] = {
        "rpn_anchor_generator": AnchorGenerator(
            tuple((size,) for size in spec.anchor_sizes), (ASPECTS,) * len(spec.anchor_sizes)
        ),
        "box_head": TwoMLPHead(channels * BOX_BINS * BOX_BINS, spec.box_features),
        "box_predictor": FastRCNNPredictor(spec.box_features, num_classes=1 + categories),
        **_sampling(spec),
    }
    if not keypoints:
        most = {"box_detections_per_img": 100}  # COCO's evaluation reads no more
        return Detector(_ours(FasterRCNN(pyramid, **parts | most), spec), 0)
    parts["keypoint_head"] = _keypoint_head(channels, spec)
    parts["keypoint_predictor"] = _keypoint_predictor(spec, keypoints)
    return Detector(_ours(KeypointRCNN(pyramid, **parts), spec), spec.heatmap)


def _ours(rcnn: FasterRCNN, spec: BackboneSpec) -> FasterRCNN:
    """Return `rcnn` with what its constructor makes itself as we and `spec` need it."""
    rcnn.rpn.__class__, rcnn.roi_heads.__class__ = IgnoringProposals, IgnoringHeads
    for part in (rcnn.rpn, rcnn.roi_heads):
        part.box_coder = ExactBoxCoder(part.box_coder.weights)
    if len(spec.anchor_sizes) == len(spec.widths):  # of the levels, which are one more
        rcnn.rpn = CoarseProposals(rcnn.rpn)
    if spec.finest_stride:
        rcnn.roi_heads.box_roi_pool = MatmulRoIAlign("0", spec.finest_stride, BOX_BINS)
        if rcnn.roi_heads.has_keypoint():
            rcnn.roi_heads.keypoint_roi_pool = MatmulRoIAlign(
                "0", spec.finest_stride, KEYPOINT_BINS
            )
    return rcnn


def _keypoint_head(channels: int, spec: BackboneSpec) -> nn.Sequential:
    """Return Mask R-CNN's head, or one with normalised and dilated layers."""
    if not spec.normalised:
        return KeypointRCNNHeads(channels, [width for width, _ in spec.keypoint_layers])
    modules: list[nn.Module] = []
    for outputs, dilation in spec.keypoint_layers:
        modules += [
            nn.Conv2d(channels, outputs, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
        channels = outputs
    return nn.Sequential(*modules)


def _keypoint_predictor(spec: BackboneSpec, keypoints: int) -> nn.Module:
    channels = spec.keypoint_layers[-1][0]
    if spec.heatmap > 2 * KEYPOINT_BINS:
        return KeypointRCNNPredictor(channels, keypoints)
    return nn.ConvTranspose2d(channels, keypoints, 4, 2, 1)


def _sampling(spec: BackboneSpec) -> dict[str, object]:
    train, test = spec.proposals
    # Detectron looks at as many before NMS, on every level; on four small levels twice as many do.
    before = 2 if spec.finest_stride else 1
    return {
        "num_classes": None,  # given by box_predictor
        "size_divisible": SIZE_DIVISIBLE,
        "_skip_resize": True,  # views and augmentation own the scale of an image
        "rpn_pre_nms_top_n_train": before * train,
        "rpn_pre_nms_top_n_test": before * test,
        "rpn_post_nms_top_n_train": train,
        "rpn_post_nms_top_n_test": test,
        "rpn_batch_size_per_image": spec.rpn_samples,
        "box_batch_size_per_image": spec.box_samples,
        "box_positive_fraction": spec.positive_share,
        "box_nms_thresh": 0.5,
        "box_detections_per_img": 20,  # COCO's keypoint evaluation reads no more
    }


@torch.inference_mode()
def count_parameters(model: nn.Module) -> int:
    """Return how many numbers `model` learns."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
