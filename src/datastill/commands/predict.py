"""Command `predict`: a trained model on your own images."""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from datastill.coco.format import Record, image_id
from datastill.errors import DataError, ParamsError
from datastill.images.folders import IMAGE_KINDS
from datastill.images.load import read_image
from datastill.inference.predictor import CARD, ReadyModel, load_folder, load_weights
from datastill.io import write_text
from datastill.progress import Steps

_BATCH = 8  # images in memory
_log = logging.getLogger(__name__)


def find_model(name: str, profile: str) -> ReadyModel:
    """Return the model of an exported folder or, if there is no such folder, of a row.

    Raises DatastillError if `name` is neither.
    """
    if (Path(name) / CARD).is_file():
        return load_folder(Path(name))
    from datastill.project.profile import open_profile  # an exported folder needs no project

    opened = open_profile(profile)
    if name not in (rows := opened.params.rows()):
        reason = f"is neither a model folder (no {CARD} in it) nor a row"
        raise ParamsError(f"{name!r} {reason}; rows: {', '.join(rows)}")
    return load_weights(opened.weights(name), opened.params.views.settings())


def run(
    model: ReadyModel, names: Sequence[str], views: int | None, to: Path | None, draw: Path | None
) -> str:
    """Predict on all images that are named or in named folders; return what to print.

    That is the path of the results or, without a file `to` for them, the results. Pictures of them
    go to the folder `draw`, if any. An image that cannot be read is named in a warning. Raises
    DataError if none can be read, and then writes nothing.
    """
    files = list(dict.fromkeys(file for name in names for file in _files(name)))
    model.inference(views)  # rejects a wrong number of views before anything is read
    predictions = list(_predict(model, files, views, draw))
    if not predictions:
        raise DataError(f"expected images, found none that can be read in {', '.join(names)}")
    results = [
        {"image_id": image["id"], "file_name": image["file_name"], **each}
        for image, objects in predictions
        for each in objects
    ]
    text = "[" + ",\n ".join(map(json.dumps, results)) + "]"
    if to is None:
        return text
    beside = to.with_suffix(".images.json")  # what the ids stand for
    images, categories = [image for image, _ in predictions], [*model.metadata.categories]
    write_text(beside, json.dumps({"images": images, "categories": categories}, indent=1))
    write_text(to, text + "\n")
    return f"{len(results)} objects on {len(images)} images: {to}; the images: {beside}"


def _predict(
    model: ReadyModel, files: Sequence[str], views: int | None, pictures: Path | None
) -> Iterator[tuple[Record, list[Record]]]:
    """Yield every readable image and its objects; draw them if there is a folder for it."""
    with Steps("predicting", len(files)) as steps:
        for start in range(0, len(files), _BATCH):
            batch = files[start : start + _BATCH]
            pixels = dict(_read(batch))
            predictions = model.predict(list(pixels.values()), views)
            for (file, image), objects in zip(pixels.items(), predictions, strict=True):
                size = {"width": image.shape[-1], "height": image.shape[-2]}
                record = {"id": image_id(file), "file_name": file, **size}
                _draw(pictures, record, image, objects, model)
                yield record, objects
            steps.advance(len(batch))


def _files(name: str) -> Iterator[str]:
    """Yield the file `name` as given, or the images in the folder `name`, sorted."""
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


def _draw(
    folder: Path | None, record: Record, image: Tensor, objects: list[Record], model: ReadyModel
) -> None:
    if folder:
        from datastill.images.contact_sheet import draw_annotations, write_png  # imports OpenCV

        picture = draw_annotations(image.permute(1, 2, 0).numpy(), objects, model.metadata)
        write_png(folder / f"{Path(record['file_name']).stem}-{record['id']}.png", picture)
