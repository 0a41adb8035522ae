"""Backbones by name."""

from __future__ import annotations

from datastill.errors import ParamsError
from datastill.model.config import BackboneSpec
from datastill.model.resnets import RESNETS
from datastill.model.small_resnet import SLIM, SMALL, SMALL_BOXES

BACKBONES = {"small": SMALL, "slim": SLIM, **RESNETS}
_FOR_BOXES = {"small": SMALL_BOXES}


def backbone_spec(name: str, keypoints: int = 1) -> BackboneSpec:
    """Return the backbone called `name`, as it detects people's keypoints or, with none, boxes.

    Raises ParamsError listing those there are.
    """
    if name not in BACKBONES:
        raise ParamsError(f"backbone {name!r} is unknown; there are {', '.join(BACKBONES)}")
    return BACKBONES[name] if keypoints else _FOR_BOXES.get(name, BACKBONES[name])
