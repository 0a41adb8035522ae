"""The model that `mlflow models serve` runs: base64 JPEGs in, predictions out."""

import base64
import binascii
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class Served(PythonModel):
    """An exported model; a request has a column `image` of files in base64."""

    def load_context(self, context: PythonModelContext) -> None:
        from datastill.inference.predictor import load_folder

        self._model = load_folder(Path(context.artifacts["model"]))

    def predict(  # type: ignore[no-untyped-def]  # MLflow reads a type hint as a schema
        self, context, model_input, params: dict[str, Any] | None = None
    ) -> list[list[dict[str, Any]]]:
        """Return a list of objects per image: category_id, bbox, score, keypoints.

        The param `views` is the number of views: 1 is the single-scale one, 0 all.
        """
        from datastill.images.load import decode_image

        images = [decode_image(_bytes(image)) for image in model_input["image"]]
        return self._model.predict(images, (params or {}).get("views", 1) or None)


def _bytes(image: str) -> bytes:
    from datastill.errors import DataError

    try:
        return base64.b64decode(image, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise DataError(f"image: expected a file in base64, found other text: {error}") from None


set_model(Served())
