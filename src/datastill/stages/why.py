"""Command `why`: what a teacher saw in one image, and why each candidate was kept or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from datastill.data.coco import Record, read_coco
from datastill.data.images import load_image
from datastill.distill.predict import mean_heatmaps
from datastill.errors import DataError
from datastill.model.checkpoint import load_detector
from datastill.report.sheets import write_png
from datastill.report.verdicts import Candidate, verdict_sheet
from datastill.stages.annotate import distilled, inference, labelled_skeleton
from datastill.stages.place import Place


def run(place: Place, row: str, image_id: int) -> str:
    """Return the candidates of an image as text; write them as a picture too.

    Raises DataError where the row has not been annotated or has no such image.
    """
    spec = distilled(place, row)
    image = _image(place, row, image_id)
    path = place.candidates(row)
    if not path.is_file():
        raise DataError(f"{path}: no such file; run `datastill annotate {row}` first")
    evidence = pd.read_parquet(path, filters=[("image_id", "=", image_id)])
    names = labelled_skeleton(place, row).names
    lines = [f"{image['file_name']}: {len(evidence)} candidates of teacher {spec.teacher}"]
    for number, candidate in enumerate(evidence.to_dict("records"), start=1):
        lines += ["", _verdict(number, candidate), _keypoints(candidate, names)]
    lines += ["", str(_picture(place, row, image, evidence))]
    return "\n".join(lines)


def _image(place: Place, row: str, image_id: int) -> Record:
    spec = distilled(place, row)
    images = read_coco(place.image_set(spec.unlabelled)).images
    for image in images:
        if image["id"] == image_id:
            return image
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


def _keypoints(candidate: dict[Any, Any], names: tuple[str, ...]) -> str:
    table = pd.DataFrame(
        {
            "keypoint": names,
            "probability": np.asarray(candidate["keypoints"])[2::3],
            "spread": candidate["spread"],
            "views that agree": candidate["agreeing"],
            "kept": ["yes" if kept else "" for kept in candidate["kept"]],
        }
    )
    return table.to_string(index=False, float_format=lambda value: f"{value:.3f}")


def _picture(place: Place, row: str, image: Record, evidence: pd.DataFrame) -> Path:
    detector, _ = load_detector(place.weights(distilled(place, row).teacher))
    how = inference(place, labelled_skeleton(place, row), multi=True)
    pixels = load_image(place.images, image)
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
    path = place.work / "why" / f"{row}-{image['id']}.png"
    write_png(path, verdict_sheet(pixels.permute(1, 2, 0).numpy(), candidates))
    return path
