"""Weights on disk: safetensors with one JSON card, so that equal weights are equal bytes."""

from __future__ import annotations

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from datastill.errors import DataError, ParamsError
from datastill.model.detector import Detector, build_detector
from datastill.model.folding import fold

_KEY = "card"  # safetensors orders several metadata keys at random; one JSON string is stable


def save_weights(path: Path, detector: Detector, card: dict[str, Any]) -> None:
    """Write the weights and the `card` that describes them: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    tensors = {name: tensor.contiguous() for name, tensor in detector.state_dict().items()}
    save_file(tensors, partial, metadata={_KEY: json.dumps(card, sort_keys=True)})
    Path(partial).replace(path)


def load_detector(path: Path) -> tuple[Detector, dict[str, Any]]:
    """Return the detector stored at `path`, to predict and for nothing else, and its card.

    Raises DataError where the file is absent, damaged, or fits no detector of ours.
    """
    if not path.is_file():
        raise DataError(f"{path}: no trained model; train this row first")
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        detector = build_detector(
            card["backbone"],
            len(card["keypoints"]),
            categories=len(card.get("categories", ("person",))),
            thawed=card["start"] == "random",
        )
        detector.load_state_dict(tensors)
    except (SafetensorError, KeyError, RuntimeError, TypeError, ValueError, ParamsError) as error:
        raise DataError(f"{path}: no model of datastill: {error}") from None
    return fold(detector.eval()), card


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training's state, tensors and plain values, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    Path(partial).replace(path)


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
