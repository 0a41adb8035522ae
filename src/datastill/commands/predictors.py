"""Predictors: trained models with their views, and the scores from which objects are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from datastill.coco.format import Record
from datastill.errors import ParamsError
from datastill.images.load import read_image
from datastill.inference.predictor import CARD, ReadyModel, load_folder, load_weights
from datastill.project.records import read_model_card

UNKNOWN_THRESHOLD = 0.5  # of a category, if val does not tell


@dataclass(frozen=True)
class Predictor:
    """A trained model, the number of views to predict through (None for all of the model's), and
    the score from which on an object is drawn, by category.
    """

    model: ReadyModel
    views: int | None
    thresholds: Mapping[int, float]

    def predict(self, images: Sequence[str | Path | Tensor]) -> list[list[Record]]:
        """Return the COCO results, without an image_id, of every image: a file, or a tensor.

        Tensors are (3, h, w) uint8 RGB. bbox (x, y, width, height) and keypoints are in pixels,
        the best score first; a keypoint's third number is its probability. Raises DataError for a
        file that is not an image.
        """
        pixels = [i if isinstance(i, Tensor) else read_image(Path(i)) for i in images]
        return self.model.predict(pixels, self.views)

    def visible(self, objects: Sequence[Record]) -> list[Record]:
        """Return the objects whose score reaches the threshold of their category."""
        return [each for each in objects if each["score"] >= self.thresholds[each["category_id"]]]


def find_predictor(
    name: str, profile: str, views: int | None = 1, min_score: float | None = None
) -> Predictor:
    """Return the predictor of an exported folder or, if there is no such folder, of a row.

    Raises DatastillError if `name` is neither; otherwise as `folder_predictor`.
    """
    if (Path(name) / CARD).is_file():
        return folder_predictor(Path(name), views, min_score)
    from datastill.commands.evaluated import match_thresholds
    from datastill.project.profile import open_profile  # an exported folder needs no project

    opened = open_profile(profile)
    if name not in (rows := opened.params.rows()):
        reason = f"is neither a model folder (no {CARD} in it) nor a row"
        raise ParamsError(f"{name!r} {reason}; rows: {', '.join(rows)}")
    model = load_weights(opened.weights(name), opened.params.views.settings())
    return _predictor(model, views, min_score, match_thresholds(opened, name))


def folder_predictor(folder: Path, views: int | None, min_score: float | None = None) -> Predictor:
    """Return the predictor of an exported folder.

    The default of `min_score` is the score from which on the model predicts as many objects on val
    as there are, or UNKNOWN_THRESHOLD if it is not evaluated. Raises DatastillError if `folder` is
    no such folder, or its model has fewer views.
    """
    card = read_model_card(folder / CARD)
    model = load_folder(folder)
    return _predictor(model, views, min_score, card.get("thresholds", {}))


def _predictor(
    model: ReadyModel, views: int | None, min_score: float | None, known: Mapping[str, float]
) -> Predictor:
    model.inference(views)  # rejects a wrong number of views
    thresholds = {
        each["id"]: known.get(each["name"], UNKNOWN_THRESHOLD) if min_score is None else min_score
        for each in model.metadata.categories
    }
    return Predictor(model, views, thresholds)
