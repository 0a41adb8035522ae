"""A trained model that is ready to use: weights and a card, in a folder that needs nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datastill.coco.format import Record
from datastill.coco.metadata import Metadata, card_metadata
from datastill.errors import DataError
from datastill.inference.multi_transform import Inference, predict
from datastill.inference.views import View, all_views
from datastill.instances import Instances
from datastill.io import digest
from datastill.model.checkpoint import load_detector
from datastill.model.detector import Detector
from datastill.model.precision import resolve_precision

WEIGHTS, CARD = "weights.safetensors", "card.json"
FORMAT = 1


def build_inference(section: Mapping[str, Any], what: Metadata, views: int | None) -> Inference:
    """Return how to look through `views` of the views of a `section`: 1 is the plain one, None all.

    Fewer than all are those closest to the plain view in scale. Raises DataError where there are
    not as many.
    """
    short = section["plain_short_side"]
    plain = View(short, section["plain_long_side"])
    every = all_views(section["short_sides"], section["long_side"], section["flip"])
    if views is not None and not 1 <= views <= max(1, len(every)):
        raise DataError(f"--views: expected 1 to {len(every)}, or all, found {views}")
    near = sorted(every, key=lambda view: abs(math.log(view.short_side / short)))
    chosen = (plain,) if views == 1 else every if views is None else tuple(near[:views])
    precision = resolve_precision(section["precision"])
    pixels = section["batch"] * short * short * 4 // 3
    flip_indices, iou = what.skeleton.flip_indices, section["voting_iou"]
    return Inference(plain, chosen, flip_indices, precision, pixels, what.ids, iou)


@dataclass(frozen=True)
class ReadyModel:
    """A detector, what it looks for and the views it looks through."""

    detector: Detector
    metadata: Metadata
    views: Mapping[str, Any]  # section `views` of params.yaml

    def inference(self, views: int | None) -> Inference:
        """Return how to look through `views` of the model's views, as `through` does."""
        return build_inference(self.views, self.metadata, views)

    def predict(self, images: Sequence[Tensor], views: int | None = 1) -> list[list[Record]]:
        """Return what is seen on every image (3, h, w) uint8: COCO results without an image_id.

        bbox and keypoints are in pixels of the image, best score first; a keypoint's third number
        is its probability.
        """
        found = predict(self.detector, images, self.inference(views))
        return [list(map(self._record, *_columns(each))) for each in found]

    def _record(
        self, category: int, score: float, box: list[float], keypoints: list[list[float]]
    ) -> Record:
        x1, y1, x2, y2 = box
        record = {
            "category_id": category,
            "bbox": [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)],
            "score": round(score, 6),
        }
        if keypoints:
            record["keypoints"] = [
                round(value, digits)
                for point in keypoints
                for value, digits in zip(point, (2, 2, 4), strict=True)
            ]
        return record


def _columns(found: Instances) -> tuple[Any, ...]:
    return tuple(
        values.tolist() for values in (found.labels, found.scores, found.boxes, found.keypoints)
    )


def load_weights(path: Path, views: Mapping[str, Any]) -> ReadyModel:
    """Return the model of these weights, on a GPU where there is one; errors of load_detector."""
    detector, card = load_detector(path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = card_metadata(categories_found(path, card), bool(card["keypoints"]))
    return ReadyModel(detector.to(device), found, views)


def categories_found(path: Path, card: Mapping[str, Any]) -> list[Record]:
    """Return what a model finds by the card in its weights; raises DataError for an old one."""
    if "categories" not in card:
        raise DataError(f"{path}: does not say what it finds; train the row again")
    return list(card["categories"])


def load_folder(folder: Path) -> ReadyModel:
    """Return the model of an exported folder; nothing in it is ever executed.

    Raises DataError where it is none, or its weights are not those that its card names.
    """
    path, weights = folder / CARD, folder / WEIGHTS
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; `datastill export ROW` makes model folders"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected the card of a model, found no JSON: {error}") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise DataError(
            f"{path}: expected the card of an exported model, found another; "
            "`datastill export ROW` makes model folders"
        )
    if not weights.is_file():
        raise DataError(f"{weights}: no such file; export the model again")
    if digest(weights) != card["lineage"]["weights"]:
        raise DataError(f"{weights}: not the weights of its card; export the model again")
    return load_weights(weights, card["views"])
