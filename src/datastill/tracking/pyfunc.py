"""The model that `mlflow models serve` runs: base64 JPEGs in, predictions out."""

import base64
import binascii
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

_MOST_PIXELS = 100_000_000  # of all images of a request; one may have as many
_MOST_TEXT = 200_000_000  # characters of an image in base64
_HEADER = re.compile(r"data:[\w/+.-]*;base64,")  # of a data URL
_Answer = list[dict[str, Any]] | dict[str, str]  # objects in an image, or an error


class Served(PythonModel):
    """An exported model; a request has a column `image` of files in base64, or of data URLs."""

    def load_context(self, context: PythonModelContext) -> None:
        from datastill.inference.predictor import CARD, load_folder
        from datastill.project.records import read_model_card

        folder = Path(context.artifacts["model"])
        read_model_card(folder / CARD)
        self._model = load_folder(folder)

    def predict(  # type: ignore[no-untyped-def]  # MLflow reads a type hint as a schema
        self, context, model_input, params: dict[str, Any] | None = None
    ) -> list[_Answer]:
        """Return a list of objects per image: category_id, bbox, score, keypoints.

        The param `views` is the number of views: 1 is the single-scale one, 0 all. An image that
        cannot be read has {"error": sentence} in place of its list. If none can be, or all have too
        many pixels together, a sentence is the answer to the whole request.
        """
        from datastill.errors import DatastillError
        from datastill.images.load import decode_image

        faults: dict[int, str] = {}
        contents = _tried(_content, dict(enumerate(model_input["image"])), faults)
        pixels = _tried(_pixels, contents, faults)
        _check_total(sum(pixels.values()))
        images = _tried(decode_image, {number: contents[number] for number in pixels}, faults)
        if faults and not images:
            raise MlflowException.invalid_parameter_value(faults[min(faults)])
        views = (params or {}).get("views", 1) or None
        try:
            objects = self._model.predict([*images.values()], views)
        except DatastillError as error:  # the server answers with status 400 and the text
            raise MlflowException.invalid_parameter_value(str(error)) from None
        answers: dict[int, _Answer] = dict(zip(images, objects, strict=True))
        answers |= {number: {"error": sentence} for number, sentence in faults.items()}
        return [answers[number] for number in sorted(answers)]


def _tried(
    read: Callable[[Any], Any], images: Mapping[int, Any], faults: dict[int, str]
) -> dict[int, Any]:
    """Return what `read` makes of each image, by number; add a sentence to `faults` if it fails."""
    from datastill.errors import DataError

    results = {}
    for number, image in images.items():
        try:
            results[number] = read(image)
        except DataError as error:
            faults[number] = f"image {number}: {error}"
    return results


def _content(image: str) -> bytes:
    """Return the bytes of a file in base64, or of a data URL; raises DataError."""
    from datastill.errors import DataError

    expected = "expected a file in base64"
    if not isinstance(image, str) or len(image) > _MOST_TEXT:
        raise DataError(f"{expected} of at most {_MOST_TEXT:,} characters")
    text = "".join(image[len(match[0]) if (match := _HEADER.match(image)) else 0 :].split())
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"{expected}, found other text: {error}") from None


def _pixels(content: bytes) -> int:
    from datastill.coco.image_header import DEFAULT_LIMIT, opened

    with opened(io.BytesIO(content)) as image:
        DEFAULT_LIMIT.check(image.size)
        return image.width * image.height


def _check_total(pixels: int) -> None:
    """Refuse images that have too many pixels together, before they are decoded."""
    if pixels > _MOST_PIXELS:
        raise MlflowException.invalid_parameter_value(
            f"the images have {pixels:,} pixels together, more than {_MOST_PIXELS:,}; send fewer "
            "or smaller ones in each request"
        )


set_model(Served())
