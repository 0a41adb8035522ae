"""Section `data` of a profile of own data: where the files are and how they are divided."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datastill.coco.keypoint_box import BOX_MARGIN
from datastill.commands.own_data.inputs import Inputs, common_folder
from datastill.commands.own_data.inspect import Inspection

_MAX_WATCHED = 20_000  # files: DVC checks each before every run


def section(inputs: Inputs, inspection: Inspection, per_video: int) -> dict[str, Any]:
    """Return section `data` of params.yaml, with so many frames of each video."""
    paths = (inputs.labelled, inputs.val, inputs.images, inputs.val_images, inputs.unlabelled)
    folders = [path.parent if path.is_file() else path for path in paths if path]
    root = _relative(Path(common_folder(folders)))
    labels = _annotated(root, inputs.labelled, inputs.images)
    parts = {name: labels | {"part": asdict(span)} for name, span in inspection.spans.items()}
    sets = {"labelled": parts.get("labelled", labels)}
    if not inputs.unlabelled:
        sets |= {"unlabelled": parts["unlabelled"], "all": {"union": ["labelled", "unlabelled"]}}
    elif inspection.sets["unlabelled"].videos:
        frames = {"per_video": per_video, "seed": inputs.division.seed, "repeats": "drop"}
        sets["unlabelled"] = {"videos": _below(root, inputs.unlabelled), **frames, "count": None}
    else:
        folder = _below(root, inputs.unlabelled)
        sets["unlabelled"] = {"folder": folder, "without": ["labelled", "val"], "count": None}
    reason = inspection.leaks_reason
    val_images = inputs.val_images or inputs.images
    return {
        "source": "files",
        "watched": (root if _watchable(root) else _relative(inputs.labelled)).as_posix(),
        "root": root.as_posix(),
        **({"keypoint_margin": BOX_MARGIN} if inspection.task == "keypoints" else {}),
        **({"max_megapixels": most} if (most := inputs.max_megapixels) else {}),
        **({"leaks": "allow", "leaks_reason": reason} if reason else {"leaks": "drop"}),
        "sets": sets,
        "val": _annotated(root, inputs.val, val_images) if inputs.val else parts["val"],
    }


def _annotated(root: Path, labels: Path, images: Path) -> dict[str, Any]:
    files = {"annotations": _below(root, labels), "without": [], "images": [_below(root, images)]}
    return {**files, "count": None}


def _relative(path: Path) -> Path:
    """Return `path` relative to the project if it is inside: a project may move."""
    whole = Path(os.path.normpath(path.absolute()))
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole


def _below(root: Path, path: Path) -> str:
    return os.path.relpath(path.absolute(), root.absolute())


def _watchable(root: Path) -> bool:
    """Return whether DVC can watch `root`: it has neither the project nor too many files in it.

    DVC follows no link to a folder, so none may lead out of it.
    """
    if Path.cwd().is_relative_to(root.absolute()) or root == Path.home():
        return False
    files, real = 0, root.resolve()
    for folder, folders, names in os.walk(root):
        files += len(names)
        inside = all(Path(folder, each).resolve().is_relative_to(real) for each in folders)
        if files > _MAX_WATCHED or not inside:
            return False
    return True
