"""Command `why`: what a teacher saw in one image, and why each candidate was kept or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from datastill.coco.format import Record
from datastill.coco.metadata import Metadata
from datastill.distill.drift import UNSURE
from datastill.errors import DataError
from datastill.images.contact_sheet import write_png
from datastill.images.load import load_image
from datastill.inference.multi_transform import mean_heatmaps, view_boxes
from datastill.project.profile import Profile, check_annotated
from datastill.report.candidate_sheet import Candidate, box_sheet, verdict_sheet
from datastill.stages.annotate import (
    distilled,
    load_model,
    row_metadata,
    teacher_inference,
    unlabelled_subset,
)

_NEAR = 0.5  # of a threshold: rejected boxes that score less are in the text alone


def run(profile: Profile, row: str, image_id: int) -> str:
    """Return the candidates of an image as text; write them as a picture too.

    Raises DataError where the row has not been annotated or has no such image.
    """
    spec = distilled(profile, row)
    image = _image(profile, row, image_id)
    path = profile.candidates(row)
    check_annotated(profile, row)
    evidence = pd.read_parquet(path, filters=[("image_id", "=", image_id)])
    what = row_metadata(profile, row)
    names = {each["id"]: each["name"] for each in what.categories}
    lines = [f"{image['file_name']}: {len(evidence)} candidates of teacher {spec.teacher}"]
    for number, candidate in enumerate(evidence.to_dict("records"), start=1):
        told = _keypoints(candidate, what) if what.sigmas else _votes(candidate, names)
        lines += ["", _verdict(number, candidate), told]
    picture = _picture if what.sigmas else _box_picture
    lines += ["", str(picture(profile, row, image, evidence))]
    return "\n".join(lines)


def _image(profile: Profile, row: str, image_id: int) -> Record:
    spec = distilled(profile, row)
    images = unlabelled_subset(profile, row).images
    for image in images:
        if image["id"] == image_id:
            return image
    if spec.ablation.fraction is not None:
        raise DataError(
            f"{row}: no image {image_id} in the {spec.ablation.fraction:g} of {spec.unlabelled} "
            "that its teacher looked at"
        )
    raise DataError(
        f"{spec.unlabelled}: no image {image_id}; its ids run from "
        f"{min(i['id'] for i in images)} to {max(i['id'] for i in images)}"
    )


def _verdict(number: int, candidate: dict[Any, Any]) -> str:
    than, word = (">=", "accepted") if candidate["accepted"] else ("<", "rejected")
    word = "ignored" if candidate["ignored"] else word
    x1, y1, x2, y2 = candidate["box"]
    return (
        f"{number}. {word}: score {candidate['score']:.3f} {than} {candidate['threshold']:.3f} by "
        f"rule {candidate['rule']}, box {x2 - x1:.0f} x {y2 - y1:.0f} at ({x1:.0f}, {y1:.0f})"
    )


def _votes(candidate: dict[Any, Any], names: dict[int, str]) -> str:
    return (
        f"   {names[candidate['category_id']]}: voted for by {candidate['views']} views, "
        f"mean 1 - IoU {candidate['box_spread']:.3f}"
    )


def _keypoints(candidate: dict[Any, Any], what: Metadata) -> str:
    table = pd.DataFrame(
        {
            "keypoint": what.skeleton.names,
            "probability": np.asarray(candidate["keypoints"])[2::3],
            "spread": candidate["spread"],
            "views that agree": candidate["agreeing"],
            "kept": ["yes" if kept else "" for kept in candidate["kept"]],
        }
    )
    return table.to_string(index=False, float_format=lambda value: f"{value:.3f}")


def _picture(profile: Profile, row: str, image: Record, evidence: pd.DataFrame) -> Path:
    what = row_metadata(profile, row)
    detector, _ = load_model(profile, distilled(profile, row).teacher, what)
    how = teacher_inference(profile, row)
    pixels = load_image(profile.images, image)
    boxes = torch.tensor(np.array(evidence["box"].tolist()).reshape(-1, 4), dtype=torch.float32)
    heatmaps, peaks = mean_heatmaps(detector, pixels, boxes, how)
    candidates = [
        Candidate(
            box=np.asarray(line["box"]),
            score=line["score"],
            accepted=line["accepted"],
            keypoints=np.asarray(line["keypoints"]).reshape(-1, 3),
            kept=np.asarray(line["kept"]),
            heatmaps=heatmaps[number].numpy(),
            views=peaks[:, number].numpy(),
        )
        for number, line in enumerate(evidence.to_dict("records"))
    ]
    path = profile.work / "why" / f"{row}-{image['id']}.png"
    write_png(path, verdict_sheet(pixels.permute(1, 2, 0).numpy(), candidates))
    return path


def _box_picture(profile: Profile, row: str, image: Record, evidence: pd.DataFrame) -> Path:
    """Draw what is accepted and what came near it; views are drawn where they are sure."""
    near = evidence[evidence["score"] >= _NEAR * evidence["threshold"]]
    what = row_metadata(profile, row)
    names = {each["id"]: each["name"] for each in what.categories}
    detector, _ = load_model(profile, distilled(profile, row).teacher, what)
    pixels = load_image(profile.images, image)
    seen = view_boxes(detector, pixels, teacher_inference(profile, row))
    nothing = np.zeros(0, np.float32)
    candidates = [
        Candidate(
            box=np.asarray(line["box"]),
            score=line["score"],
            accepted=line["accepted"],
            keypoints=np.zeros((0, 3)),
            kept=np.zeros(0, np.bool_),
            heatmaps=nothing,
            views=nothing,
            name=names[line["category_id"]],
        )
        for line in near.to_dict("records")
    ]
    sure = [each.boxes[each.scores >= UNSURE] for each in seen]
    boxes = torch.cat(sure).cpu().numpy().astype(np.float64)
    path = profile.work / "why" / f"{row}-{image['id']}.png"
    write_png(path, box_sheet(pixels.permute(1, 2, 0).numpy(), candidates, boxes))
    return path
