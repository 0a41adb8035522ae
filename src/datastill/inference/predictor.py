"""Trained models ready to predict: from weights, or from a self-contained folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from datastill.coco.format import Record
from datastill.coco.metadata import Metadata, card_metadata
from datastill.coco.results import coco_results
from datastill.errors import DataError
from datastill.inference.multi_transform import predict
from datastill.inference.views import Inference, ViewSettings, build_inference, parse_settings
from datastill.io import digest, read_json
from datastill.model.checkpoint import load_detector
from datastill.model.detector import Detector
from datastill.model.precision import best_device

WEIGHTS, CARD = "weights.safetensors", "card.json"
FORMAT = 1
DECIMALS: dict[str, int | tuple[int, ...]] = {"bbox": 2, "score": 6, "keypoints": (2, 2, 4)}


@dataclass(frozen=True)
class ReadyModel:
    """A detector, the categories and keypoints that it predicts, and its views."""

    detector: Detector
    metadata: Metadata
    settings: ViewSettings

    def inference(self, views: int | None) -> Inference:
        """Return the inference through `views` of the model's views; errors of build_inference."""
        return build_inference(self.settings, self.metadata, views)

    def predict(self, images: Sequence[Tensor], views: int | None = 1) -> list[list[Record]]:
        """Return COCO results, without an image_id, of every image (3, h, w) uint8.

        bbox and keypoints are in pixels of the image, best score first; a keypoint's third number
        is its probability.
        """
        predictions = predict(self.detector, images, self.inference(views))
        exact = (replace(each, boxes=each.boxes.double()) for each in predictions)
        return [coco_results(each, DECIMALS) for each in exact]


def load_on_device(path: Path) -> tuple[Detector, dict[str, Any]]:
    """Return what `load_detector` does, with the detector on a GPU if there is one."""
    detector, card = load_detector(path)
    return detector.to(best_device()), card


def load_weights(path: Path, settings: ViewSettings) -> ReadyModel:
    """Return the model of these weights; errors of load_detector."""
    detector, card = load_on_device(path)
    metadata = card_metadata(card_categories(path, card), bool(card["keypoints"]))
    return ReadyModel(detector, metadata, settings)


def card_categories(path: Path, card: Mapping[str, Any]) -> list[Record]:
    """Return the categories in the card of weights at `path`; raises DataError if it has none."""
    if "categories" not in card:
        raise DataError(f"{path}: its card has no categories; train the row again")
    return list(card["categories"])


def load_folder(folder: Path) -> ReadyModel:
    """Return the model of an exported folder; nothing in it is executed.

    Raises DataError if it is not one, or its weights do not match its card.
    """
    path, weights = folder / CARD, folder / WEIGHTS
    advice = "`datastill export ROW` makes model folders"
    card = read_json(path, "the card of a model", advice)
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise DataError(f"{path}: expected the card of an exported model, found another; {advice}")
    if not weights.is_file():
        raise DataError(f"{weights}: no such file; export the model again")
    lineage = card.get("lineage")
    if not isinstance(lineage, dict) or digest(weights) != lineage.get("weights"):
        raise DataError(f"{weights}: not the weights of its card; export the model again")
    return load_weights(weights, parse_settings(card.get("views"), f"{path}: views"))
