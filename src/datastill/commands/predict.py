"""Command `predict`: a trained model looks at images of one's own."""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from datastill.coco.format import Record
from datastill.errors import DataError, ParamsError
from datastill.images.folders import IMAGE_KINDS
from datastill.images.load import image_id, read_image
from datastill.inference.predictor import CARD, ReadyModel, load_folder, load_weights
from datastill.io import write_text
from datastill.progress import Steps

_TOGETHER = 8  # images in memory
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Output:
    """Where predictions go: a COCO results file, a folder of pictures; None is nowhere."""

    results: Path | None
    pictures: Path | None


def find_model(name: str, profile: str) -> ReadyModel:
    """Return the model of an exported folder or, where there is no such folder, of a row.

    Raises DatastillError where `name` is neither.
    """
    if (Path(name) / CARD).is_file():
        return load_folder(Path(name))
    opened = importlib.import_module("datastill.project.profile").open_profile(profile)
    if name not in opened.params.rows():
        rows = ", ".join(opened.params.rows())
        raise ParamsError(f"{name!r} is no model folder (no {CARD} in it) and no row; rows: {rows}")
    return load_weights(opened.weights(name), opened.params.views.settings())


def run(model: ReadyModel, names: Sequence[str], views: int | None, output: Output) -> str:
    """Predict on all images that are named or lie in named folders; return what to print.

    That is where the results are or, without a file for them, the results. An image that cannot be
    read is named in a warning. Raises DataError where none can be read, and then writes nothing.
    """
    files = list(dict.fromkeys(file for name in names for file in _files(name)))
    images: list[Record] = []
    results: list[Record] = []
    model.inference(views)  # a wrong number of views is told before anything is read
    with Steps("predicting", len(files)) as steps:
        for start in range(0, len(files), _TOGETHER):
            part = files[start : start + _TOGETHER]
            read = dict(_read(part))
            found = model.predict(list(read.values()), views)
            for (file, pixels), objects in zip(read.items(), found, strict=True):
                images.append(_image(file, pixels))
                results += [_result(images[-1], each) for each in objects]
                _draw(output.pictures, images[-1], pixels, objects, model)
            steps.advance(len(part))
    if not images:
        raise DataError(f"expected images, found none that can be read in {', '.join(names)}")
    return _write(output.results, results, images, model)


def _files(name: str) -> Iterator[str]:
    """Yield the file `name` as it was given, or the images in the folder `name`, sorted."""
    if not Path(name).is_dir():
        yield name
        return
    for path in sorted(Path(name).rglob("*")):
        if path.suffix.lower() in IMAGE_KINDS and path.is_file():
            yield path.as_posix()


def _read(files: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    for file in files:
        try:
            if not Path(file).exists():
                raise DataError(f"{file}: no such file or folder")
            yield file, read_image(Path(file))
        except DataError as error:
            _log.warning("left out: %s", error)


def _image(file: str, pixels: Tensor) -> Record:
    height, width = pixels.shape[-2:]
    return {"id": image_id(file), "file_name": file, "width": width, "height": height}


def _result(image: Record, found: Record) -> Record:
    return {"image_id": image["id"], "file_name": image["file_name"], **found}


def _draw(
    folder: Path | None, image: Record, pixels: Tensor, found: list[Record], model: ReadyModel
) -> None:
    if folder is None:
        return
    sheets = importlib.import_module(
        "datastill.images.contact_sheet"
    )  # OpenCV, only where it is needed
    picture = sheets.draw_annotations(pixels.permute(1, 2, 0).numpy(), found, model.metadata)
    sheets.write_png(folder / f"{Path(image['file_name']).stem}-{image['id']}.png", picture)


def _write(
    path: Path | None, results: list[Record], images: list[Record], model: ReadyModel
) -> str:
    """Write the results, and beside them the images and categories that their ids stand for."""
    text = "[" + ",\n ".join(json.dumps(result) for result in results) + "]"
    if path is None:
        return text
    beside = path.with_suffix(".images.json")
    write_text(
        beside, json.dumps({"images": images, "categories": [*model.metadata.categories]}, indent=1)
    )
    write_text(path, text + "\n")
    return f"{len(results)} objects on {len(images)} images: {path}; the images: {beside}"
