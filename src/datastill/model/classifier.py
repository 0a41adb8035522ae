"""An image classifier on a backbone's body: the source of initial weights."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from datastill.model.backbones import backbone_spec
from datastill.model.detector import IMAGE_MEAN, IMAGE_STD, Batch
from datastill.model.resnets import build_body


class Classifier(nn.Module):
    """A backbone's body, average pooling and one linear layer for all questions.

    questions  the number of answers to every question, by its name
    """

    def __init__(self, backbone: str, questions: Mapping[str, int]) -> None:
        super().__init__()
        spec = backbone_spec(backbone)
        self.questions = dict(questions)
        self.body = build_body(spec)
        self.head = nn.Linear(spec.widths[-1], sum(self.questions.values()))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return a loss by question; targets hold "answers" (q,), -1 if it does not apply.

        That is the mean over the images that have an answer, 0 if none has.
        """
        answers, losses = torch.stack([target["answers"] for target in batch.targets]), {}
        for i, (question, logits) in enumerate(self.logits(batch.images).items()):
            true = answers[:, i]
            total = functional.cross_entropy(logits.float(), true, ignore_index=-1, reduction="sum")
            losses[question] = total / (true != -1).sum().clamp(min=1)
        return losses

    def logits(self, images: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return (n, answers) by question for images (3, h, w) in [0, 1], all of one size."""
        pixels = torch.stack(list(images))
        mean, std = (pixels.new_tensor(x)[:, None, None] for x in (IMAGE_MEAN, IMAGE_STD))
        features = self.body((pixels - mean) / std).mean((2, 3))
        parts = self.head(features).split(list(self.questions.values()), dim=1)
        return dict(zip(self.questions, parts, strict=True))
