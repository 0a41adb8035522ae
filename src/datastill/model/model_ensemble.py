"""Several detectors as one teacher: model distillation (the paper's figure 1)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from datastill.instances import Instances
from datastill.model.detector import Detector


class ModelEnsemble(Detector):
    """Boxes are the first member's; heatmaps inside them are the members' mean probabilities.

    The features of the other members are called "0/", "1/" and so on, and their level.
    """

    def __init__(self, members: Sequence[Detector]) -> None:
        super().__init__(members[0].rcnn, members[0].heatmap)
        self.others: Any = nn.ModuleList(members[1:])

    def features(self, images: Sequence[Tensor]) -> tuple[ImageList, dict[str, Tensor]]:
        """Return the normalised, padded batch and every member's feature pyramid."""
        batch, features = super().features(images)
        for number, member in enumerate(self.others):
            features |= {f"{number}/{k}": v for k, v in member.features(images)[1].items()}
        return batch, features

    def boxes(self, batch: ImageList, features: dict[str, Tensor]) -> list[Instances]:
        return super().boxes(batch, _of_first(features))

    def heatmaps(
        self, batch: ImageList, features: dict[str, Tensor], boxes: list[Tensor]
    ) -> list[Tensor]:
        """Return per image logits (n, k, m, m) whose softmax is the mean of the members'."""
        logits = [super().heatmaps(batch, _of_first(features), boxes)]
        for number, member in enumerate(self.others):
            logits.append(member.heatmaps(batch, with_prefix(f"{number}/", features), boxes))
        images = [torch.stack(image) for image in zip(*logits, strict=True)]  # (members, n, ...)
        logs = [image.flatten(3).log_softmax(-1).view_as(image) for image in images]
        return [log.logsumexp(0) for log in logs]  # up to a constant, which softmax ignores


def _of_first(features: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: level for name, level in features.items() if "/" not in name}


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names start with `prefix`, without it."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
