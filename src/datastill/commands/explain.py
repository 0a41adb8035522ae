"""Command `why`: a teacher's candidates in one image, and why each was kept or not."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from datastill.coco.format import Record
from datastill.coco.metadata import Metadata
from datastill.distill.drift import UNSURE
from datastill.errors import DataError
from datastill.images.contact_sheet import Image, write_png
from datastill.images.load import load_image
from datastill.inference.multi_transform import mean_heatmaps, view_boxes
from datastill.io import digest
from datastill.project.profile import Profile
from datastill.project.records import read_evidence, read_facts
from datastill.project.row_models import (
    distilled,
    load_model,
    row_metadata,
    teacher_inference,
    unlabelled_subset,
)
from datastill.report.candidate_sheet import Candidate, box_sheet, verdict_sheet

_NEAR = 0.5  # of a threshold: rejected boxes that score less are only in the text
_NOTHING = np.zeros(0, np.float32)


def run(profile: Profile, row: str, image_id: int) -> str:
    """Return the candidates of an image as text; write them as a picture too.

    Raises DataError if the row has no such image, or has not been annotated by its teacher as it is
    now.
    """
    spec = distilled(profile, row)
    image = _image(profile, row, image_id)
    profile.require(profile.annotations(row), "annotate", row)
    advice = f"run `datastill annotate {row}{profile.option}` again"
    _check_teacher(profile, row, advice)
    candidates = read_evidence(profile.evidence(row), image_id, advice)
    metadata = row_metadata(profile, row)
    lines = [f"{image['file_name']}: {len(candidates)} candidates of teacher {spec.teacher}"]
    for number, candidate in enumerate(candidates, start=1):
        lines += ["", _verdict(number, candidate), _reasons(candidate, metadata)]
    path = profile.work / "why" / f"{row}-{image_id}.png"
    write_png(path, _picture(profile, row, metadata, load_image(profile.images, image), candidates))
    return "\n".join([*lines, "", str(path)])


def _check_teacher(profile: Profile, row: str, advice: str) -> None:
    """Raise DataError if the teacher's weights are not those that generated the annotations."""
    weights = profile.weights(distilled(profile, row).teacher)
    made = read_facts(profile.annotation_card(row)).get("provenance", {})
    if made and weights.is_file() and digest(weights) != made["teacher_weights"]:
        reason = f"other weights than these decided on the candidates of {row}"
        raise DataError(f"{weights}: {reason}; {advice}")


def _image(profile: Profile, row: str, image_id: int) -> Record:
    spec, images = distilled(profile, row), unlabelled_subset(profile, row).images
    by_id = {image["id"]: image for image in images}
    if image_id in by_id:
        return by_id[image_id]
    if share := spec.ablation.fraction:
        place = f"the {share:g} of {spec.unlabelled} that its teacher annotates"
        raise DataError(f"{row}: no image {image_id} in {place}")
    ids = f"its ids run from {min(by_id)} to {max(by_id)}"
    raise DataError(f"{spec.unlabelled}: no image {image_id}; {ids}")


def _verdict(number: int, candidate: dict[Any, Any]) -> str:
    than, verdict = (">=", "accepted") if candidate["accepted"] else ("<", "rejected")
    verdict = "ignored" if candidate["ignored"] else verdict
    x1, y1, x2, y2 = candidate["box"]
    return (
        f"{number}. {verdict}: score {candidate['score']:.3f} {than} {candidate['threshold']:.3f} "
        f"by rule {candidate['rule']}, box {x2 - x1:.0f} x {y2 - y1:.0f} at ({x1:.0f}, {y1:.0f})"
    )


def _name(candidate: dict[Any, Any], metadata: Metadata) -> str:
    names = {category["id"]: str(category["name"]) for category in metadata.categories}
    return names[candidate["category_id"]]


def _reasons(candidate: dict[Any, Any], metadata: Metadata) -> str:
    if not metadata.sigmas:
        votes = f"voted for by {candidate['views']} views"
        spread = f"mean 1 - IoU {candidate['box_spread']:.3f}"
        return f"   {_name(candidate, metadata)}: {votes}, {spread}"
    table = pd.DataFrame(
        {
            "keypoint": metadata.skeleton.names,
            "probability": np.asarray(candidate["keypoints"])[2::3],
            "spread": candidate["spread"],
            "views that agree": candidate["agreeing"],
            "kept": ["yes" if kept else "" for kept in candidate["kept"]],
        }
    )
    return table.to_string(index=False, float_format=lambda value: f"{value:.3f}")


def _picture(
    profile: Profile, row: str, metadata: Metadata, image: Tensor, candidates: list[dict[Any, Any]]
) -> Image:
    """Draw the candidates and what the views predict.

    Boxes are drawn if they are accepted or nearly so, those of the views if they score UNSURE.
    """
    detector = load_model(profile, distilled(profile, row).teacher, metadata)
    inference, pixels = teacher_inference(profile, row, metadata), image.permute(1, 2, 0).numpy()
    if metadata.sigmas:
        boxes = np.array([each["box"] for each in candidates], np.float32).reshape(-1, 4)
        heatmaps, peaks = mean_heatmaps(detector, image, torch.from_numpy(boxes), inference)
        evidence = zip(candidates, heatmaps.numpy(), peaks.transpose(0, 1).numpy(), strict=True)
        return verdict_sheet(pixels, [_drawn(*each) for each in evidence])
    near = [each for each in candidates if each["score"] >= _NEAR * each["threshold"]]
    drawn = [_drawn(each, name=_name(each, metadata)) for each in near]
    views = view_boxes(detector, image, inference)
    sure = torch.cat([each.boxes[each.scores >= UNSURE] for each in views])
    return box_sheet(pixels, drawn, sure.cpu().numpy().astype(np.float64))


def _drawn(
    candidate: dict[Any, Any], heatmaps: Any = _NOTHING, views: Any = _NOTHING, name: str = ""
) -> Candidate:
    return Candidate(
        box=np.asarray(candidate["box"]),
        score=candidate["score"],
        accepted=candidate["accepted"],
        keypoints=np.asarray(candidate["keypoints"]).reshape(-1, 3),
        kept=np.asarray(candidate["kept"], np.bool_),
        heatmaps=heatmaps,
        views=views,
        name=name,
    )
