"""A backbone that learns what is on a picture: where initial weights come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from datastill.model.backbones import backbone_spec
from datastill.model.detector import Batch

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as torchvision's detectors
_UNASKED = -1


class Classifier(nn.Module):
    """A backbone's body, average pooling and one linear layer for all questions.

    questions  the number of answers to every question, by its name
    """

    def __init__(self, backbone: str, questions: Mapping[str, int]) -> None:
        super().__init__()
        spec = backbone_spec(backbone)
        self.questions = dict(questions)
        self.body = spec.body()
        self.head = nn.Linear(spec.widths[-1], sum(self.questions.values()))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return a loss by question; targets hold "answers" (q,), -1 where it was not asked."""
        answers = torch.stack([target["answers"] for target in batch.targets])
        logits = self.logits(batch.images)
        return {
            name: _cross_entropy(mine.float(), answers[:, i])
            for i, (name, mine) in enumerate(logits.items())
        }

    def logits(self, images: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return (n, answers) by question for images (3, h, w) in [0, 1], all of one size."""
        pixels = torch.stack(list(images))
        mean, deviation = (pixels.new_tensor(x)[:, None, None] for x in (_MEAN, _DEVIATION))
        features = self.body((pixels - mean) / deviation).mean((2, 3))
        parts = self.head(features).split(list(self.questions.values()), dim=1)
        return dict(zip(self.questions, parts, strict=True))


def _cross_entropy(logits: Tensor, answers: Tensor) -> Tensor:
    """Return the mean over the asked, 0 where nobody was."""
    total = functional.cross_entropy(logits, answers, ignore_index=_UNASKED, reduction="sum")
    return total / (answers != _UNASKED).sum().clamp(min=1)
