"""Weights on disk: safetensors with one JSON card, so that equal weights are equal bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from datastill.errors import DataError, ParamsError
from datastill.io import atomic, digest
from datastill.model.detector import Detector, build_detector
from datastill.model.fuse_bn import fold
from datastill.model.model_ensemble import ModelEnsemble

_SUBJECT = ("keypoints", "categories")  # of a card: what a model looks for
_KEY = "card"  # safetensors orders several metadata keys at random; one JSON string is stable


def save_weights(path: Path, detector: Detector, card: dict[str, Any]) -> None:
    """Write the weights and the `card` that describes them: whole or not at all."""
    tensors = {name: tensor.contiguous() for name, tensor in detector.state_dict().items()}
    _save(path, tensors, card)


def join_weights(path: Path, members: Sequence[Path]) -> None:
    """Write the weights of several models as those of their ensemble.

    Raises DataError where a member is absent, damaged or an ensemble itself, or where one looks for
    something else than the first.
    """
    cards: list[dict[str, Any]] = []
    tensors: dict[str, Tensor] = {}
    for number, member in enumerate(members):
        card, mine = _read(member)
        if "members" in card:
            raise DataError(f"{member}: is an ensemble itself; name its members instead")
        cards.append(card)
        tensors |= {f"{number}.{name}": tensor for name, tensor in mine.items()}
    for member, card in zip(members, cards, strict=True):
        if any(card.get(name) != cards[0].get(name) for name in _SUBJECT):
            raise DataError(f"{member}: looks for something else than {members[0]}")
    metadata = {name: cards[0][name] for name in _SUBJECT if name in cards[0]}
    _save(path, tensors, {"members": cards, **metadata})


def _save(path: Path, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
    with atomic(path) as partial:
        save_file(tensors, partial, metadata={_KEY: json.dumps(card, sort_keys=True)})


def load_detector(path: Path) -> tuple[Detector, dict[str, Any]]:
    """Return the detector stored at `path`, to predict and for nothing else, and its card.

    Of joined weights it is a ModelEnsemble. Raises DataError where the file is absent, damaged, or
    fits no detector of ours.
    """
    card, tensors = _read(path)
    try:
        if "members" not in card:
            return _fresh(card, tensors), card
        members = [
            _fresh(member, _below(f"{number}.", tensors))
            for number, member in enumerate(card["members"])
        ]
        return ModelEnsemble(members).eval(), card
    except (KeyError, RuntimeError, TypeError, ValueError, ParamsError) as error:
        raise DataError(f"{path}: no model of datastill: {error}") from None


def load_into(detector: Detector, path: Path) -> str:
    """Give `detector` all weights of the trained model at `path`; return their digest.

    Raises DataError where the file is absent, damaged or another detector's.
    """
    _, tensors = _read(path)
    try:
        detector.load_state_dict(tensors)
    except RuntimeError as error:
        raise DataError(f"{path}: is no model of this backbone: {error}") from None
    return digest(path)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise DataError(f"{path}: no trained model; train this row first")
    try:
        with safe_open(path, framework="pt") as file:
            card: dict[str, Any] = json.loads((file.metadata() or {})[_KEY])
            return card, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no model of datastill: {error}") from None


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    mine = (name for name in tensors if name.startswith(prefix))
    return {name.removeprefix(prefix): tensors[name] for name in mine}


def _fresh(card: dict[str, Any], tensors: dict[str, Tensor]) -> Detector:
    detector = build_detector(
        card["backbone"],
        len(card["keypoints"]),
        categories=len(card.get("categories", ("person",))),
        train_all_layers=card["start"] == "random",
    )
    detector.load_state_dict(tensors)
    return fold(detector.eval())


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training's state, tensors and plain values, whole or not at all."""
    with atomic(path) as partial:
        torch.save(state, partial)


def load_state(path: Path) -> dict[str, Any]:
    """Return the state at `path`; data only, nothing in it is ever executed.

    Raises DataError where it is damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, LookupError, RuntimeError, ValueError, UnpicklingError):
        # PyTorch's own text advises to load code; nobody should.
        raise DataError(
            f"{path}: damaged, or no plain data of PyTorch; a training's state can be deleted to "
            "start again"
        ) from None
    return state
