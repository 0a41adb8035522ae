"""Initial weights: what every training starts from, as the paper's start from ImageNet's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from datastill.errors import DataError
from datastill.io import atomic, digest
from datastill.model.checkpoint import load_state
from datastill.model.classifier import Classifier
from datastill.model.detector import Detector
from datastill.model.resnets import IMAGENET

_KEY = "card"


def initial_weights(backbone: str) -> Path:
    """Return where the initial weights of `backbone` are kept: in the package, in git."""
    return Path(__file__).parent / "initial" / f"{backbone}.safetensors"


def find_initial(backbone: str, files: Mapping[str, str]) -> Path:
    """Return the initial weights of `backbone`: of `files`, the package or torchvision's ImageNet.

    torchvision's are downloaded once and checked by their digest. Raises DataError where there are
    none or they cannot be had.
    """
    if backbone in files:
        return Path(files[backbone]).expanduser()
    if initial_weights(backbone).is_file() or backbone not in IMAGENET:
        return initial_weights(backbone)
    url = IMAGENET[backbone].url
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = path.stem.rpartition("-")[2]
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"{url}: cannot be downloaded ({error}); put the file at {path}, or name another "
                f"in train.initial_files.{backbone}"
            ) from None
    return path


def save_initial(path: Path, classifier: Classifier, card: dict[str, Any]) -> None:
    """Write the body of `classifier` in half precision and the `card` that says how it came."""
    tensors = {name: _halved(tensor) for name, tensor in classifier.body.state_dict().items()}
    with atomic(path) as partial:
        save_file(tensors, partial, metadata={_KEY: json.dumps(card, sort_keys=True)})


def _halved(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def start_from(path: Path, detector: Detector) -> str:
    """Give the backbone of `detector` the initial weights at `path`; return their digest.

    The file is safetensors or a state dict of PyTorch, of which data alone is read; a classifier's
    last layer is left out. The pyramid and the heads keep their fresh weights. Raises DataError
    where the file is absent, damaged or another backbone's.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no initial weights; name a file in train.initial_files, or train without any "
            "by `train.start: random`"
        )
    try:
        tensors = load_file(path) if path.suffix == ".safetensors" else load_state(path)
        body = {name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")}
        detector.rcnn.backbone.body.load_state_dict(body)
    except (SafetensorError, RuntimeError, TypeError, AttributeError) as error:
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
