"""Regions to ignore: crowds and uncertain annotations, neither objects nor background."""

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import box_area, box_iou

COVERED = 0.7  # minimum share of a box's own area on a region: Detectron's for crowds

Target = dict[str, Tensor]


def on_ignored(boxes: Tensor, ignored: Tensor) -> Tensor:
    """Return which `boxes` (n, 4) are on one of the `ignored` regions (m, 4)."""
    corner = torch.max(boxes[:, None, :2], ignored[None, :, :2])
    opposite = torch.min(boxes[:, None, 2:], ignored[None, :, 2:])
    shared = (opposite - corner).clamp(min=0).prod(-1)
    return (shared >= COVERED * box_area(boxes).clamp(min=1e-6)[:, None]).any(1)


class IgnoringProposals(RegionProposalNetwork):
    """An RPN that does not train on anchors on ignored regions as background."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return a label per anchor, 1 object, 0 background, -1 neither, and its matched box."""
        labels, matched = super().assign_targets_to_anchors(anchors, targets)
        for label, boxes, target in zip(labels, anchors, targets, strict=True):
            if len(target["ignored"]):
                label[(label == 0) & on_ignored(boxes, target["ignored"])] = -1
        return labels, matched


class IgnoringHeads(RoIHeads):
    """Heads that do not train on proposals on ignored regions as background."""

    def select_training_samples(self, proposals: list[Tensor], targets: list[Target]):  # type: ignore[no-untyped-def]
        """Return the sampled proposals, their matches, labels and regression targets."""
        pairs = zip(proposals, targets, strict=True)
        return super().select_training_samples([self._keep(*pair) for pair in pairs], targets)

    def _keep(self, proposals: Tensor, target: Target) -> Tensor:
        if not len(target["ignored"]):
            return proposals
        overlaps = box_iou(target["boxes"].to(proposals.dtype), proposals)
        background = ~(overlaps >= self.proposal_matcher.high_threshold).any(0)
        return proposals[~(background & on_ignored(proposals, target["ignored"]))]
