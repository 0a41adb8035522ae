"""Weights on disk: safetensors with one JSON card, so that equal weights are equal bytes."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from datastill.errors import DataError, ParamsError
from datastill.io import atomic, digest
from datastill.model.detector import Detector, build_detector
from datastill.model.fuse_bn import fuse
from datastill.model.model_ensemble import ModelEnsemble, with_prefix

_SUBJECT = ("keypoints", "categories")  # keys of a card: what a model detects
_KEY = "card"  # safetensors orders several metadata keys at random; one JSON string is stable


def save_weights(path: Path, detector: Detector, card: dict[str, Any]) -> None:
    """Write the weights and the `card` that describes them, atomically."""
    save_tensors(path, detector.state_dict(), card)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], card: dict[str, Any]) -> None:
    """Write `tensors` and the `card` that describes them, atomically."""
    with atomic(path) as partial:
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        # Bytes, as the libraries' own writing turns a full disk into errors of their own.
        partial.write_bytes(save(contiguous, {_KEY: json.dumps(card, sort_keys=True)}))


def read_card(path: Path) -> dict[str, Any]:
    """Return the card of the weights at `path`."""
    with safe_open(path, framework="pt") as file:
        return json.loads((file.metadata() or {})[_KEY])


def join_weights(path: Path, members: Sequence[Path]) -> None:
    """Write the weights of several models as those of their ensemble.

    Raises DataError if a member is absent, damaged or an ensemble itself, or does not detect
    what the first one does.
    """
    cards: list[dict[str, Any]] = []
    tensors: dict[str, Tensor] = {}
    for number, member in enumerate(members):
        card, weights = _read(member)
        if "members" in card:
            raise DataError(f"{member}: is an ensemble itself; name its members instead")
        if cards and any(card.get(key) != cards[0].get(key) for key in _SUBJECT):
            raise DataError(f"{member}: does not detect the same as {members[0]}")
        cards.append(card)
        tensors |= {f"{number}.{name}": tensor for name, tensor in weights.items()}
    subject = {key: cards[0][key] for key in _SUBJECT if key in cards[0]}
    save_tensors(path, tensors, {"members": cards, **subject})


def load_detector(path: Path) -> tuple[Detector, dict[str, Any]]:
    """Return the detector stored at `path`, for prediction only, and its card.

    Joined weights give a ModelEnsemble. Raises DataError if the file is absent, damaged or no
    model of datastill.
    """
    card, tensors = _read(path)
    try:
        if "members" not in card:
            return _restore(card, tensors), card
        members = enumerate(card["members"])
        detectors = [_restore(each, with_prefix(f"{i}.", tensors)) for i, each in members]
        return ModelEnsemble(detectors).eval(), card
    except (KeyError, RuntimeError, TypeError, ValueError, ParamsError) as error:
        raise DataError(f"{path}: not a model of datastill: {error}") from None


def load_into(detector: Detector, path: Path) -> str:
    """Give `detector` all weights of the trained model at `path`; return their digest.

    Raises DataError if the file is absent, damaged or another detector's.
    """
    _, tensors = _read(path)
    try:
        detector.load_state_dict(tensors)
    except RuntimeError as error:
        raise DataError(f"{path}: not a model of this backbone: {error}") from None
    return digest(path)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise DataError(f"{path}: no trained model; train this row first")
    try:
        return read_card(path), load_file(path)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a model of datastill: {error}") from None


def _restore(card: dict[str, Any], tensors: dict[str, Tensor]) -> Detector:
    detector = build_detector(
        card["backbone"], len(card["keypoints"]),
        categories=len(card.get("categories", ("person",))),
        train_all_layers=card["start"] == "random", max_detections=card.get("max_detections"),
    )  # fmt: skip
    detector.load_state_dict(tensors)
    return fuse(detector.eval())


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state of a training run, tensors and plain values, atomically."""
    torch.save(state, content := io.BytesIO())
    with atomic(path) as partial:
        partial.write_bytes(content.getbuffer())


def load_state(path: Path) -> dict[str, Any]:
    """Return the state at `path`, never executing it; raises DataError if it is damaged."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, LookupError, RuntimeError, ValueError, UnpicklingError):
        # PyTorch's own message suggests executing the file, which is unsafe.
        raise DataError(
            f"{path}: damaged, or not plain data of PyTorch; delete the state of a training run to "
            "start it again"
        ) from None
