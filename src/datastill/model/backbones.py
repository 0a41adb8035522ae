"""Backbones by name."""

from __future__ import annotations

from datastill.errors import ParamsError
from datastill.model.resnets import RESNETS
from datastill.model.small import SMALL
from datastill.model.spec import BackboneSpec

BACKBONES = {"small": SMALL, **RESNETS}


def backbone_spec(name: str) -> BackboneSpec:
    """Return the backbone called `name`; raises ParamsError listing those there are."""
    if name not in BACKBONES:
        raise ParamsError(f"backbone {name!r} is unknown; there are {', '.join(BACKBONES)}")
    return BACKBONES[name]
