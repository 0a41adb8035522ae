"""Initial weights: what every training starts from, as the paper's start from ImageNet's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from datastill.data.coco import digest
from datastill.errors import DataError
from datastill.model.classifier import Classifier
from datastill.model.detector import Detector

_KEY = "card"


def initial_weights(backbone: str) -> Path:
    """Return where the initial weights of `backbone` are kept: in the package, in git."""
    return Path(__file__).parent / "initial" / f"{backbone}.safetensors"


def save_initial(path: Path, classifier: Classifier, card: dict[str, Any]) -> None:
    """Write the body of `classifier` in half precision and the `card` that says how it came."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: _halved(tensor) for name, tensor in classifier.body.state_dict().items()}
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata={_KEY: json.dumps(card, sort_keys=True)})
    Path(partial).replace(path)


def _halved(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def start_from(path: Path, detector: Detector) -> str:
    """Give the backbone of `detector` the initial weights at `path`; return their digest.

    The pyramid and the heads keep their fresh weights. Raises DataError where the file is absent,
    damaged or another backbone's.
    """
    if not path.is_file():
        raise DataError(f"{path}: no initial weights; `train.start: random` trains without any")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        detector.rcnn.backbone.body.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        raise DataError(f"{path}: no initial weights of this backbone: {error}") from None
    return digest(path)


def read_card(path: Path) -> dict[str, Any]:
    """Return how the initial weights at `path` came about."""
    with safe_open(path, framework="pt") as file:
        card: dict[str, Any] = json.loads((file.metadata() or {})[_KEY])
    return card


@torch.inference_mode()
def accuracies(classifier: Classifier, images: Tensor, answers: Tensor) -> dict[str, float]:
    """Return the share of right answers by question, over the pictures where it was asked.

    images   (n, 3, h, w) uint8
    answers  (n, q), -1 where the question was not asked
    """
    batches = [classifier.logits(list(part.float() / 255)) for part in images.split(64)]
    rights = {}
    for i, name in enumerate(classifier.questions):
        guesses = torch.cat([batch[name] for batch in batches]).argmax(1)
        asked = answers[:, i] >= 0
        rights[name] = round(float((guesses == answers[:, i])[asked].float().mean()), 3)
    return rights
