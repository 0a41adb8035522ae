"""Initial weights of training runs, in the role of the paper's ImageNet weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from datastill.errors import DataError
from datastill.io import digest
from datastill.model.checkpoint import load_state, save_tensors
from datastill.model.classifier import Classifier
from datastill.model.detector import Detector
from datastill.model.mobilenet import body_weights
from datastill.model.resnets import IMAGENET


def initial_weights(backbone: str) -> Path:
    """Return the path of the initial weights of `backbone` in the package and in git."""
    return Path(__file__).parent / "initial" / f"{backbone}.safetensors"


def find_initial(backbone: str, files: Mapping[str, str]) -> Path:
    """Return the initial weights of `backbone`: of `files`, the package or torchvision's ImageNet.

    torchvision's are downloaded once and checked by their digest; raises DataError if they
    cannot be. The path of the package's may not exist.
    """
    if backbone in files:
        return Path(files[backbone]).expanduser()
    if initial_weights(backbone).is_file() or backbone not in IMAGENET:
        return initial_weights(backbone)
    return fetch_once(IMAGENET[backbone].url, f"name another in train.initial_files.{backbone}")


def fetch_once(url: str, otherwise: str) -> Path:
    """Return torchvision's file of `url` in torch's hub folder, downloaded if it is not there.

    Its name has its digest. Raises DataError if it cannot be downloaded, or has another digest.

    otherwise  advice to who cannot download it
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rpartition("-")[2])
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"{url}: cannot be downloaded ({error}); put the file at {path}, or {otherwise}"
            ) from None
    return path


def save_initial(path: Path, classifier: Classifier, card: dict[str, Any]) -> None:
    """Write the body of `classifier` in half precision and the `card` with its origin."""
    weights = classifier.body.state_dict().items()
    save_tensors(path, {k: t.half() if t.is_floating_point() else t for k, t in weights}, card)


def start_from(path: Path, detector: Detector) -> str:
    """Give the backbone of `detector` the initial weights at `path`; return their digest.

    The file is safetensors or a state dict of PyTorch; nothing in it is executed, and a
    classifier's last layer is ignored. The pyramid and the heads keep their fresh weights. Raises
    DataError if the file is absent, damaged or another backbone's.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such initial weights; name a file in train.initial_files, or set "
            "`train.start: random`"
        )
    try:
        detector.rcnn.backbone.body.load_state_dict(_without_classifier(read_tensors(path)))
    except (SafetensorError, RuntimeError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not initial weights of this backbone: {error}") from None
    return digest(path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, or else of a state dict of PyTorch."""
    return load_file(path) if path.suffix == ".safetensors" else load_state(path)


def _without_classifier(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    if any(name.startswith("features.") for name in tensors):
        return body_weights(tensors)
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")}


@torch.inference_mode()
def accuracies(classifier: Classifier, images: Tensor, answers: Tensor) -> dict[str, float]:
    """Return the share of right answers by question, over the images that have an answer.

    images   (n, 3, h, w) uint8
    answers  (n, q), -1 if the question does not apply
    """
    batches = [classifier.logits(list(part.float() / 255)) for part in images.split(64)]
    shares = {}
    for i, name in enumerate(classifier.questions):
        guesses = torch.cat([batch[name] for batch in batches]).argmax(1)
        asked = answers[:, i] >= 0
        shares[name] = round(float((guesses == answers[:, i])[asked].float().mean()), 3)
    return shares
