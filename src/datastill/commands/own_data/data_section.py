"""Where do somebody's own data lie, and how are they divided? As section `data` says it."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datastill.commands.own_data.inputs import Inputs
from datastill.commands.own_data.inspect import Survey

_FRAMES = 10  # of a video: neighbours show the same, and `repeats: drop` leaves those out
_MOST_WATCHED = 20_000  # files: DVC looks at each before every run


def section(inputs: Inputs, found: Survey) -> dict[str, Any]:
    """Return section `data` of params.yaml."""
    root = _root(inputs)
    labels = _annotated(root, inputs.labelled, inputs.images)
    parts = {name: labels | {"part": asdict(span)} for name, span in found.spans.items()}
    sets = {"labelled": parts.get("labelled", labels)}
    if inputs.unlabelled:
        sets["unlabelled"] = _others(root, inputs.unlabelled, inputs.division.seed, found.videos)
    else:
        sets |= {"unlabelled": parts["unlabelled"], "all": {"union": ["labelled", "unlabelled"]}}
    val_images = inputs.val_images or inputs.images
    return {
        "source": "files",
        "watched": _watched(root) or _shown(inputs.labelled).as_posix(),
        "root": root.as_posix(),
        "leaks": "drop",
        "sets": sets,
        "val": _annotated(root, inputs.val, val_images) if inputs.val else parts["val"],
    }


def unwatched(data: dict[str, Any]) -> bool:
    """Return whether DVC watches less than all the data."""
    return bool(data["watched"] != data["root"])


def _annotated(root: Path, labels: Path, images: Path) -> dict[str, Any]:
    folders = [_below(root, images)]
    return {
        "annotations": _below(root, labels), "without": [], "images": folders, "count": None,
    }  # fmt: skip


def _others(root: Path, source: Path, seed: int, videos: int) -> dict[str, Any]:
    if not videos:
        return {"folder": _below(root, source), "without": ["labelled", "val"], "count": None}
    frames = {"per_video": _FRAMES, "seed": seed, "repeats": "drop", "count": None}
    return {"videos": _below(root, source), **frames}


def _root(inputs: Inputs) -> Path:
    """Return the folder that all is below: relative where that is in the project."""
    files = [path for path in (inputs.labelled, inputs.val) if path]
    folders = [path for path in (inputs.images, inputs.val_images) if path]
    if other := inputs.unlabelled:
        (files if other.is_file() else folders).append(other)
    places = [path.absolute() for path in folders] + [path.absolute().parent for path in files]
    return _shown(Path(os.path.commonpath([os.path.normpath(place) for place in places])))


def _shown(path: Path) -> Path:
    """Return `path` relative to the project where it is in it: that may move."""
    whole = Path(os.path.normpath(path.absolute()))
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole


def _below(root: Path, path: Path) -> str:
    return os.path.relpath(path.absolute(), root.absolute())


def _watched(root: Path) -> str | None:
    """Return the folder that DVC makes the sets again for; None where too much else is in it."""
    if Path.cwd().is_relative_to(root.absolute()) or root == Path.home() or not _few(root):
        return None
    return root.as_posix()


def _few(root: Path) -> bool:
    count = 0
    for _, _, names in os.walk(root):
        count += len(names)
        if count > _MOST_WATCHED:
            return False
    return True
