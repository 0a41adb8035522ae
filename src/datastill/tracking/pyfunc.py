"""The model that `mlflow models serve` runs: base64 JPEGs in, predictions out."""

import base64
import binascii
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

_MOST_PIXELS = 100_000_000  # of all images of a request; one may have as many
_MOST_TEXT = 200_000_000  # characters of an image in base64
_HEADER = re.compile(r"data:[\w/+.-]*;base64,")  # of a data URL


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
    ) -> list[list[dict[str, Any]]]:
        """Return a list of objects per image: category_id, bbox, score, keypoints.

        The param `views` is the number of views: 1 is the single-scale one, 0 all. The answer
        to a request that cannot be met is a sentence on which image is wrong.
        """
        from datastill.images.load import decode_image

        with _answered():
            contents = [*map(_bytes, range(len(model_input)), model_input["image"])]
            _check_pixels(contents)
            images = []
            for number, content in enumerate(contents):
                with _answered(f"image {number}: "):
                    images.append(decode_image(content))
            return self._model.predict(images, (params or {}).get("views", 1) or None)


@contextmanager
def _answered(subject: str = "") -> Iterator[None]:
    """Turn our errors into MLflow's, which its server answers with status 400 and their text."""
    from datastill.errors import DatastillError

    try:
        yield
    except DatastillError as error:
        raise MlflowException.invalid_parameter_value(f"{subject}{error}") from None


def _bytes(number: int, image: str) -> bytes:
    from datastill.errors import DataError

    subject = f"image {number}: expected a file in base64"
    if not isinstance(image, str) or len(image) > _MOST_TEXT:
        raise DataError(f"{subject} of at most {_MOST_TEXT:,} characters")
    text = "".join(image[len(match[0]) if (match := _HEADER.match(image)) else 0 :].split())
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"{subject}, found other text: {error}") from None


def _check_pixels(contents: Sequence[bytes]) -> None:
    """Raise DataError before images that have too many pixels together are decoded."""
    from datastill.coco.image_header import opened
    from datastill.errors import DataError

    total = 0
    for number, content in enumerate(contents):
        with _answered(f"image {number}: "), opened(io.BytesIO(content)) as image:
            total += image.width * image.height
    if total > _MOST_PIXELS:
        raise DataError(
            f"the images have {total:,} pixels together, more than {_MOST_PIXELS:,}; send fewer or "
            "smaller ones in each request"
        )


set_model(Served())
