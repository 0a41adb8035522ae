"""Stages `teacher-torchvision` and `teacher-exported`: a teacher that is not trained here."""

import shutil
from pathlib import Path

from datastill.errors import ParamsError
from datastill.inference.predictor import CARD, WEIGHTS, load_folder
from datastill.io import atomic, digest
from datastill.model.backbones import PUBLISHED
from datastill.model.checkpoint import save_weights
from datastill.model.detector import build_detector
from datastill.model.torchvision_detectors import (
    find_published,
    published_metadata,
    start_from_coco,
)
from datastill.project.profile import Profile
from datastill.project.records import read_model_card


def run(profile: Profile, name: str) -> None:
    """Make the model of teacher `name` from torchvision's file or an exported folder.

    Raises ParamsError if there is no such teacher, DataError if the file is not its model.
    """
    teachers = profile.params.teachers
    if name in teachers.torchvision:
        _convert(profile, name, teachers.torchvision[name])
    elif name in teachers.exported:
        folder = Path(teachers.exported[name])
        read_model_card(folder / CARD)
        load_folder(folder)  # verifies it
        with atomic(profile.weights(name)) as partial:
            shutil.copyfile(folder / WEIGHTS, partial)
    else:
        known = ", ".join(teachers.names()) or "none"
        raise ParamsError(f"{profile.params.params_file}: no teacher {name!r}; there are {known}")


def _convert(profile: Profile, name: str, published: str) -> None:
    """Write the weights of torchvision's detector `published` as those of a trained row."""
    path = find_published(published, profile.params.train.initial_files)
    metadata = published_metadata(published)
    backbone, keypoints = PUBLISHED[published]
    detector = build_detector(backbone, keypoints, categories=len(metadata.categories))
    start_from_coco(path, published, detector, metadata)  # all of it
    card = {
        "row": name,
        "backbone": backbone,
        "keypoints": metadata.skeleton.names,
        "categories": metadata.categories,
        "start": "coco",
        "initial": digest(path),
    }
    save_weights(profile.weights(name), detector, card)
