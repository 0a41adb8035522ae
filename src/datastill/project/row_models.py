"""Models of rows: their metadata, and a teacher's inference and unlabelled images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from datastill.coco.format import Coco, read_coco
from datastill.coco.image_records import ImageRecords
from datastill.coco.metadata import Metadata, build_metadata
from datastill.coco.subsets import subset
from datastill.errors import DataError, ParamsError
from datastill.inference.predictor import card_categories, load_on_device
from datastill.inference.views import Inference, build_inference
from datastill.model.detector import Detector
from datastill.project.image_sets import load
from datastill.project.profile import Profile
from datastill.project.rows import DistilledRow


def distilled(profile: Profile, row: str) -> DistilledRow:
    """Return the distilled row called `row`; raises ParamsError if it is not one."""
    spec = profile.params.row(row)
    if not isinstance(spec, DistilledRow):
        names = ", ".join(profile.params.distilled)
        raise ParamsError(f"row {row!r} has no unlabelled set to annotate; these have: {names}")
    return spec


def row_metadata(profile: Profile, row: str) -> Metadata:
    """Return the metadata of the models of `row`, which is that of its labelled set."""
    labelled = read_coco(profile.image_set(profile.params.row(row).labelled))
    return build_metadata(labelled, profile.params.task)


def teacher_inference(
    profile: Profile, row: str, metadata: Metadata, *, single_scale: bool = False
) -> Inference:
    """Return the inference by which the teacher of `row` annotates, or its single-scale one."""
    ablation = distilled(profile, row).ablation
    count = 1 if single_scale else ablation.views
    return build_inference(profile.params.views.settings(), metadata, count, ablation.average)


def unlabelled_subset(profile: Profile, row: str) -> Coco:
    """Return the unlabelled set of `row`, or the random fraction of it that the row specifies.

    With the same seed, a smaller fraction is a subset of every larger one. Its images are compact,
    as there may be many.
    """
    spec = distilled(profile, row)
    whole = load(profile, spec.unlabelled)
    if spec.ablation.fraction is None:
        return replace(whole, images=ImageRecords(whole.images))
    order = np.random.default_rng([spec.seed, 4]).permutation(len(whole.images))
    chosen = sorted(order[: max(1, round(spec.ablation.fraction * len(order)))].tolist())
    return subset(whole, ImageRecords(whole.images[i] for i in chosen))


def load_model(profile: Profile, row: str, metadata: Metadata) -> Detector:
    """Return the trained detector of `row`, on a GPU if there is one.

    Raises DataError if it does not predict what `metadata` describes.
    """
    params = profile.params
    if row not in params.rows() and not profile.weights(row).is_file():
        stage = "ensemble" if row in params.ensembles else "teacher"
        command = f"datastill {stage} {row}{profile.option}"
        raise DataError(f"{profile.weights(row)}: no such file; run `{command}` first")
    detector, card = load_on_device(profile.weights(row))
    check_model(profile, row, card, metadata)
    return detector


def check_model(profile: Profile, row: str, card: Mapping[str, Any], metadata: Metadata) -> None:
    """Raise DataError if the model of `row` does not predict what `metadata` describes.

    card  of its weights
    """
    path, names = profile.weights(row), metadata.skeleton.names
    predicted, present = (
        [(c["id"], c["name"]) for c in categories]
        for categories in (card_categories(path, card), metadata.categories)
    )
    if tuple(card["keypoints"]) != names or predicted != present:
        trained = row in profile.params.rows() or row in profile.params.ensembles
        advice = f"train row {row} again" if trained else f"{row} cannot be their teacher"
        raise DataError(
            f"{path}: predicts {_described(predicted, card['keypoints'])}, the data have "
            f"{_described(present, names)}; {advice}"
        )


def _described(categories: Sequence[tuple[int, str]], keypoints: Sequence[str]) -> str:
    names = [f"{number} {name}" for number, name in categories]
    some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(keypoints)} keypoints of {some}" if keypoints else f"boxes of {some}"
