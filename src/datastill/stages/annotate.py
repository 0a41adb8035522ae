"""Stage `annotate`: a teacher's ensembled predictions become a row's generated annotations."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import torch

from datastill.data.coco import Coco, digest, mirror_swap, read_coco, write_coco, write_text
from datastill.distill.annotate import (
    Selection,
    Teacher,
    density,
    find_candidates,
    generate,
    select,
)
from datastill.distill.predict import Inference
from datastill.distill.views import View, all_views
from datastill.errors import ParamsError
from datastill.evaluate.truth import judge
from datastill.model.checkpoint import load_detector
from datastill.model.precision import resolve_precision
from datastill.params import DistilledRow
from datastill.progress import Steps
from datastill.stages import data
from datastill.stages.place import Place
from datastill.stages.provenance import code_version, environment, fingerprint
from datastill.stages.show import draw_sheet

_log = logging.getLogger(__name__)


def inference(place: Place, keypoints: tuple[str, ...], multi: bool) -> Inference:
    """Return the profile's inference, with all views (`multi`) or the plain one alone."""
    views = place.params.views
    plain = View(views.plain_short_side, views.plain_long_side)
    many = all_views(views.short_sides, views.long_side, views.flip)
    precision = resolve_precision(views.precision)
    return Inference(plain, many if multi else (plain,), mirror_swap(keypoints), precision)


def run(place: Place, row: str) -> None:
    """Annotate the unlabelled set of `row` with its teacher; say loudly where that falls short."""
    spec = _distilled(place, row)
    wanted = density(read_coco(place.image_set(spec.labelled)))
    unlabelled = data.load(place, spec.unlabelled)
    candidates = _candidates(place, row, Coco(unlabelled.images, [], unlabelled.categories))
    selection = select(candidates, len(unlabelled.images), wanted)
    generated = generate(candidates, selection, unlabelled, wanted.area_share)
    warnings = list(_warnings(row, selection))
    for warning in warnings:
        _log.warning(warning)
    write_coco(place.annotations(row), generated)
    candidates.to_parquet(place.candidates(row), index=False)
    draw_sheet(place, row, generated)
    card = _card(place, row, wanted, selection, generated, unlabelled)
    write_text(
        place.annotation_card(row), json.dumps({**card, "warnings": warnings}, indent=2) + "\n"
    )


def _distilled(place: Place, row: str) -> DistilledRow:
    spec = place.params.row(row)
    if not isinstance(spec, DistilledRow):
        names = ", ".join(place.params.distilled)
        raise ParamsError(f"row {row!r} has no unlabelled set to annotate; these have: {names}")
    return spec


def _candidates(place: Place, row: str, unlabelled: Coco) -> pd.DataFrame:
    spec = _distilled(place, row)
    weights = place.weights(spec.teacher)
    detector, card = load_detector(weights)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    how = inference(place, tuple(card["keypoints"]), multi=True)
    key = fingerprint([digest(weights), asdict(how), digest(place.image_set(spec.unlabelled))])
    shards = place.work / "shards" / f"{row}-{key[:16]}"
    teacher = Teacher(detector.to(device), how)
    with Steps(f"annotating {spec.unlabelled}", len(unlabelled.images)) as steps:
        return find_candidates(teacher, unlabelled.images, place.images, shards, steps.advance)


def _warnings(row: str, selection: Selection) -> list[str]:
    return [
        f"{row}: wanted {threshold.wanted} {what} to match the labelled set, the teacher predicts "
        f"only {threshold.kept}; all are kept, whatever their score"
        for what, threshold in (
            ("instances", selection.instance),
            ("keypoints", selection.keypoint),
        )
        if threshold.exhausted
    ]


def _card(place: Place, row: str, *found: Any) -> dict[str, Any]:
    wanted, selection, generated, unlabelled = found
    people = generated.annotations
    truth = unlabelled.annotations
    return {
        "row": row,
        "teacher": _distilled(place, row).teacher,
        "images": len(generated.images),
        "images_without_annotations": len(generated.images)
        - len({person["image_id"] for person in people}),
        "instances": len(people),
        "instances_per_image": round(len(people) / len(generated.images), 4),
        "keypoints_per_instance": round(float(np.mean([p["num_keypoints"] for p in people])), 4),
        "labelled": _rounded(asdict(wanted)),
        "thresholds": {
            "instance": asdict(selection.instance),
            "keypoint": asdict(selection.keypoint),
        },
        "quality": _rounded(asdict(judge(generated, unlabelled))) if truth else None,
        "provenance": {
            "annotations": digest(place.annotations(row)),
            "teacher_weights": digest(place.weights(_distilled(place, row).teacher)),
            "views": len(inference(place, generated.keypoint_names(), multi=True).views),
            "code": code_version(),
            **environment(),
        },
    }


def _rounded(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: round(v, 4) if isinstance(v, float) else v for name, v in facts.items()}
