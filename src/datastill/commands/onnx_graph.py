"""A detector's single-scale pass as one graph for images of any size, as ONNX needs it."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torchvision.ops import clip_boxes_to_image, nms, remove_small_boxes, roi_align

from datastill.images.geometry import unit_interval
from datastill.inference.heatmaps import decode, probabilities
from datastill.model.detector import SIZE_DIVISIBLE, CoarseProposals, Detector
from datastill.model.matmul_roi_align import MatmulRoIAlign
from datastill.model.model_ensemble import ModelEnsemble

MIN_SIDE = 1e-2  # of a detection, in pixels: torchvision's

Features = dict[str, Tensor]
Size = Sequence[Any]  # height and width: integers, or symbols while a graph is traced


class DetectorGraph(nn.Module):
    """What `Detector.features`, `boxes` and `heatmaps` do for one image, without Python numbers.

    They and torchvision read sizes and counts as integers, which a graph would keep forever.
    Equal up to rounding.

    categories  COCO ids by the labels of the network, from label 1 on
    """

    def __init__(self, detector: Detector, categories: Sequence[int]) -> None:
        super().__init__()
        self.heatmap = detector.heatmap
        others = detector.others if isinstance(detector, ModelEnsemble) else []
        self.rcnns: Any = nn.ModuleList(each.rcnn for each in (detector, *others))
        self.categories: Tensor
        self.register_buffer("categories", torch.tensor(categories))
        _set_scales(detector)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return boxes (n, 4), scores (n,), COCO ids (n,) and, of a detector of keypoints,
        keypoints (n, k, 3) of `image` (3, h, w) uint8 at network scale, in its pixels.
        """
        size, rcnn = image.shape[-2:], self.rcnns[0]
        padding = (0, _missing(size[1]), 0, _missing(size[0]))
        padded = pad(rcnn.transform.normalize(unit_interval(image)), padding)[None]
        pyramids = [each.backbone(padded) for each in self.rcnns]
        proposals = _proposals(rcnn.rpn, padded, pyramids[0], size)
        boxes, scores, labels = _detections(rcnn.roi_heads, pyramids[0], proposals, size)
        detections = boxes, scores, self.categories[labels]
        if not self.heatmap:
            return detections
        pairs = zip(self.rcnns, pyramids, strict=True)
        heatmaps = torch.stack([_heatmaps(each.roi_heads, p, boxes) for each, p in pairs])
        return *detections, decode(heatmaps.mean(0), boxes)


@torch.inference_mode()
def _set_scales(detector: Detector) -> None:
    """Run `detector` on an image: torchvision's pooling takes its scales from the first one."""
    batch, features = detector.features([torch.zeros(3, 128, 128)])
    detector.boxes(batch, features)
    if detector.heatmap:
        detector.heatmaps(batch, features, [torch.tensor([[0.0, 0.0, 64.0, 64.0]])])


def _missing(length: Any) -> Any:
    return (length + SIZE_DIVISIBLE - 1) // SIZE_DIVISIBLE * SIZE_DIVISIBLE - length


def _proposals(rpn: Any, padded: Tensor, pyramid: Features, size: Size) -> Tensor:
    """Return the boxes (n, 4) that the RPN proposes, best first."""
    if isinstance(rpn, CoarseProposals):
        rpn, pyramid = rpn.rpn, {name: level for name, level in pyramid.items() if name != "0"}
    levels: list[Any] = list(pyramid.values())
    logits, offsets = rpn.head(levels)
    anchors = _anchors(rpn.anchor_generator, padded, levels)
    count = rpn.pre_nms_top_n()
    ranked = [_rank(*level, count) for level in zip(logits, offsets, anchors, strict=True)]
    scores, best_offsets, best_anchors = (torch.cat(part) for part in zip(*ranked, strict=True))
    boxes = clip_boxes_to_image(rpn.box_coder.decode_single(best_offsets, best_anchors), size)
    groups = torch.arange(len(levels)).repeat_interleave(count)
    keep = remove_small_boxes(boxes, rpn.min_size)
    boxes, scores, groups = boxes[keep], scores[keep], groups[keep]
    keep = torch.where(scores >= rpn.score_thresh)[0]
    boxes, scores, groups = boxes[keep], scores[keep], groups[keep]
    return boxes[_grouped_nms(boxes, scores, groups, size, rpn.nms_thresh)[: rpn.post_nms_top_n()]]


def _anchors(generator: Any, padded: Tensor, levels: Sequence[Tensor]) -> list[Tensor]:
    """Return the anchors (h w a, 4) of each level."""
    grids = [level.shape[-2:] for level in levels]
    sides = [zip(padded.shape[-2:], grid, strict=True) for grid in grids]
    strides = [[torch.full((), whole // cells) for whole, cells in pair] for pair in sides]
    return generator.grid_anchors(grids, strides)


def _rank(logits: Tensor, offsets: Tensor, anchors: Tensor, count: int) -> tuple[Tensor, ...]:
    """Return the `count` best scores of one level, with their offsets and anchors.

    A level of fewer gets anchors without a size, as the count must not depend on the image.

    logits   (1, a, h, w)
    offsets  (1, 4 a, h, w)
    anchors  (h w a, 4)
    """
    scores = pad(logits[0].permute(1, 2, 0).flatten(), (0, count), value=-math.inf)
    codes = offsets[0].unflatten(0, (-1, 4)).permute(2, 3, 0, 1).flatten(0, 2)
    best, index = scores.topk(count)  # not of probabilities, many of which may be 1
    rows = (0, 0, 0, count)
    return best.sigmoid(), pad(codes, rows)[index], pad(anchors, rows)[index]


def _detections(
    heads: Any, pyramid: Features, proposals: Tensor, size: Size
) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes (n, 4), scores (n,) and labels (n,) from 0 on, best first."""
    pooled = pool_boxes(heads.box_roi_pool, pyramid, proposals)
    logits, offsets = heads.box_predictor(heads.box_head(pooled))
    boxes = heads.box_coder.decode_single(offsets, proposals).unflatten(1, (-1, 4))[:, 1:]
    boxes = clip_boxes_to_image(boxes, size)
    scores = logits.softmax(-1)[:, 1:]
    row, label = torch.where(scores > heads.score_thresh)
    boxes, scores = boxes[row, label], scores[row, label]
    keep = remove_small_boxes(boxes, MIN_SIDE)
    boxes, scores, label = boxes[keep], scores[keep], label[keep]
    keep = _grouped_nms(boxes, scores, label, size, heads.nms_thresh)[: heads.detections_per_img]
    return boxes[keep], scores[keep], label[keep]


def _grouped_nms(boxes: Tensor, scores: Tensor, groups: Tensor, size: Size, iou: float) -> Tensor:
    """Return which boxes remain if none suppresses one of another group, the best first."""
    apart = groups.to(boxes)[:, None] * (torch.sym_max(*size) + 1)
    return nms(boxes + apart, scores, iou)


def _heatmaps(heads: Any, pyramid: Features, boxes: Tensor) -> Tensor:
    """Return heatmaps (n, k, m, m) that sum to 1 over positions."""
    hidden = heads.keypoint_head(pool_boxes(heads.keypoint_roi_pool, pyramid, boxes))
    return probabilities(heads.keypoint_predictor(hidden))


def pool_boxes(pool: Any, pyramid: Features, boxes: Tensor) -> Tensor:
    """Return (n, c, bins, bins) of `boxes` (n, 4), each from its level."""
    if isinstance(pool, MatmulRoIAlign):
        return _align(pyramid[pool.level], boxes, 1 / pool.stride, pool)
    levels = pool.map_levels([boxes])[:, None, None, None]
    scales = zip(pool.featmap_names, pool.scales, strict=False)
    aligned = [_align(pyramid[name], boxes, scale, pool) for name, scale in scales]
    pooled = aligned[0]
    for number, each in enumerate(aligned[1:], start=1):
        pooled = torch.where(levels == number, each, pooled)
    return pooled


def _align(level: Tensor, boxes: Tensor, scale: float, pool: Any) -> Tensor:
    return roi_align(level, [boxes], pool.output_size, scale, pool.sampling_ratio)
