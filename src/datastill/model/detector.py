"""torchvision's R-CNNs, split as the method needs: boxes once, heatmaps at given boxes."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign

from datastill.coco.results import COCO_DETECTIONS
from datastill.instances import Instances
from datastill.model.backbones import backbone_spec
from datastill.model.config import BackboneSpec
from datastill.model.ignore_regions import IgnoringHeads, IgnoringProposals
from datastill.model.matmul_roi_align import MatmulRoIAlign
from datastill.model.resnets import build_pyramid

ASPECTS = (0.5, 1.0, 2.0)
IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's
BOX_BINS, KEYPOINT_BINS = 7, 14  # per side of a box, as pooled for either head
SIZE_DIVISIBLE = 16  # a batch is padded to a multiple of this; the pyramid itself needs none


class Batch:
    """Images and targets of one training step.

    Neither a tuple nor a dataclass: Fabric would round the coordinates inside to bf16.
    """

    def __init__(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> None:
        self.images, self.targets = images, targets


class Detector(nn.Module):
    """A detector of people's keypoints, or of boxes of any categories.

    Images are (3, h, w) in [0, 1] at network scale, and so are boxes.
    """

    def __init__(self, rcnn: GeneralizedRCNN, heatmap: int) -> None:
        super().__init__()
        self.rcnn = rcnn
        self.heatmap = heatmap  # bins per side; 0 without keypoints

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the training losses by name; targets hold boxes, labels, keypoints, ignored."""
        return self.rcnn(batch.images, batch.targets)

    def features(self, images: Sequence[Tensor]) -> tuple[ImageList, dict[str, Tensor]]:
        """Return the normalised, padded batch and its feature pyramid."""
        transform = self.rcnn.transform
        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        tensors = transform.batch_images([transform.normalize(i) for i in images], SIZE_DIVISIBLE)
        return ImageList(tensors, sizes), self.rcnn.backbone(tensors)

    def boxes(self, batch: ImageList, features: dict[str, Tensor]) -> list[Instances]:
        """Return per image the boxes after NMS, without keypoints; the network's labels, from 1."""
        proposals, _ = self.rcnn.rpn(batch, features)
        heads = self.rcnn.roi_heads
        pooled = heads.box_head(heads.box_roi_pool(features, proposals, batch.image_sizes))
        logits, regression = heads.box_predictor(pooled)
        detections = heads.postprocess_detections(
            logits.float(), regression.float(), proposals, batch.image_sizes
        )
        return [
            Instances(boxes, scores, labels, boxes.new_zeros(len(boxes), 0, 3))
            for boxes, scores, labels in zip(*detections, strict=True)
        ]

    def heatmaps(
        self, batch: ImageList, features: dict[str, Tensor], boxes: list[Tensor]
    ) -> list[Tensor]:
        """Return per image the keypoint logits (n, k, m, m) inside its given `boxes` (n, 4)."""
        heads = self.rcnn.roi_heads
        pooled = heads.keypoint_roi_pool(features, boxes, batch.image_sizes)
        hidden = heads.keypoint_head(pooled)
        with torch.autocast(hidden.device.type, enabled=False):  # bf16 would shift peaks
            logits = heads.keypoint_predictor(hidden.float())
        return list(logits.split(list(map(len, boxes))))


class ExactBoxCoder(BoxCoder):
    """Boxes from anchors and a network's offsets, in fp32 at any network precision.

    torchvision casts anchors to the offsets' precision, and true boxes to the proposals': bf16
    keeps multiples of 1 pixel at 200, of 4 pixels at 600.
    """

    def decode_single(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """Return (n, 4 c) boxes of offsets (n, 4 c) to `boxes` (n, 4)."""
        return super().decode_single(rel_codes.float(), boxes)


class CoarseProposals(nn.Module):
    """An RPN that skips the finest level: people are too large to be proposed there."""

    def __init__(self, rpn: RegionProposalNetwork) -> None:
        super().__init__()
        self.rpn = rpn

    def forward(self, images: ImageList, features: dict[str, Tensor], targets: Any = None) -> Any:
        coarse = {name: level for name, level in features.items() if name != "0"}
        return self.rpn(images, coarse, targets)


def build_detector(
    backbone: str,
    keypoints: int,
    *,
    categories: int = 1,
    train_all_layers: bool = False,
    max_detections: int | None = None,
) -> Detector:
    """Return a detector of people with that many keypoints, with fresh weights; without keypoints,
    one of boxes of that many `categories`.

    `train_all_layers` also trains the layers that its backbone freezes, as random weights require.
    `max_detections` is the most objects that it predicts in an image, COCO's limit by default.
    Raises ParamsError for an unknown backbone.
    """
    spec = backbone_spec(backbone, keypoints)
    spec = replace(spec, frozen=()) if train_all_layers else spec
    pyramid = build_pyramid(spec)
    # The heads come before the RPN: torchvision draws their random weights in this order.
    usual = COCO_DETECTIONS["keypoints" if keypoints else "boxes"]
    most, (train, test) = max_detections or usual, spec.proposals
    spec = replace(spec, proposals=(train, test * most // usual))
    heads = _heads(spec, keypoints, categories, most)
    # Views and augmentation set the scale of an image: min_size and max_size are unused.
    transform = GeneralizedRCNNTransform(
        800, 1333, IMAGE_MEAN, IMAGE_STD, size_divisible=SIZE_DIVISIBLE, _skip_resize=True
    )
    rcnn = GeneralizedRCNN(pyramid, _rpn(spec), heads, transform)
    return Detector(rcnn, spec.heatmap if keypoints else 0)


def _rpn(spec: BackboneSpec) -> nn.Module:
    sizes: tuple[tuple[int, ...], ...] = (spec.anchor_sizes,) * spec.levels_of_all_sizes
    sizes, (train, test) = sizes or tuple((size,) for size in spec.anchor_sizes), spec.proposals
    # As in Detectron on every level before NMS; four small levels rank twice as many.
    ranked = 2 if spec.finest_stride else 1
    rpn = IgnoringProposals(
        AnchorGenerator(sizes, (ASPECTS,) * len(sizes)),
        RPNHead(spec.pyramid_width, len(ASPECTS) * len(sizes[0])),
        fg_iou_thresh=0.7, bg_iou_thresh=0.3, nms_thresh=0.7,
        batch_size_per_image=spec.rpn_samples, positive_fraction=0.5,
        pre_nms_top_n={"training": ranked * train, "testing": ranked * test},
        post_nms_top_n={"training": train, "testing": test}, score_thresh=spec.min_objectness,
    )  # fmt: skip
    rpn.box_coder = ExactBoxCoder(rpn.box_coder.weights)
    return CoarseProposals(rpn) if len(sizes) <= len(spec.widths) else rpn


def _heads(
    spec: BackboneSpec, keypoints: int, categories: int, max_detections: int
) -> IgnoringHeads:
    heads = IgnoringHeads(
        _roi_pool(spec, BOX_BINS),
        TwoMLPHead(spec.pyramid_width * BOX_BINS * BOX_BINS, spec.box_features),
        FastRCNNPredictor(spec.box_features, num_classes=1 + categories),
        fg_iou_thresh=0.5, bg_iou_thresh=0.5, bbox_reg_weights=None,
        batch_size_per_image=spec.box_samples, positive_fraction=spec.positive_share,
        score_thresh=0.05, nms_thresh=0.5,
        detections_per_img=max_detections,
    )  # fmt: skip
    heads.box_coder = ExactBoxCoder(heads.box_coder.weights)
    if keypoints:
        heads.keypoint_roi_pool = _roi_pool(spec, KEYPOINT_BINS)
        heads.keypoint_head = _keypoint_head(spec)
        channels, doubling = spec.keypoint_layers[-1][0], spec.heatmap > 2 * KEYPOINT_BINS
        heads.keypoint_predictor = (
            KeypointRCNNPredictor(channels, keypoints) if doubling
            else nn.ConvTranspose2d(channels, keypoints, 4, 2, 1)
        )  # fmt: skip
    return heads


def _roi_pool(spec: BackboneSpec, bins: int) -> nn.Module:
    if spec.finest_stride:
        return MatmulRoIAlign("0", spec.finest_stride, bins)
    return MultiScaleRoIAlign(["0", "1", "2", "3"], bins, sampling_ratio=2)


def _keypoint_head(spec: BackboneSpec) -> nn.Sequential:
    """Return Mask R-CNN's head, or one with normalised and dilated layers."""
    widths = [spec.pyramid_width, *(width for width, _ in spec.keypoint_layers)]
    if not spec.normalised:
        return KeypointRCNNHeads(widths[0], widths[1:])
    modules: list[nn.Module] = []
    for (inputs, outputs), layer in zip(pairwise(widths), spec.keypoint_layers, strict=True):
        convolution = nn.Conv2d(inputs, outputs, 3, padding=layer[1], dilation=layer[1], bias=False)
        modules += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters of `model`."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
