"""Command `predict`: a trained model on your own images and videos."""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from os.path import realpath
from pathlib import Path

from torch import Tensor

from datastill.coco.format import Record, image_id
from datastill.coco.image_header import DEFAULT_LIMIT, PixelLimit
from datastill.coco.metadata import Metadata
from datastill.commands.output_folder import make_folder
from datastill.commands.predictors import Predictor
from datastill.errors import DataError, ParamsError
from datastill.images.folders import VIDEO_KINDS
from datastill.images.load import IMAGE_KINDS, read_image
from datastill.io import write_text
from datastill.progress import Steps

_BATCH = 8  # images in memory
_WRITTEN = re.compile(  # the beginning of results, and of both kinds of tables
    r'\[(?:\]|\{"image_id": \d+, "file_name": )|scorer,datastill,|frame,category,x,y,|$'
)
_log = logging.getLogger(__name__)


def run(
    predictor: Predictor,
    names: Sequence[str],
    to: Path | None,
    draw: Path | None,
    limit: PixelLimit = DEFAULT_LIMIT,
) -> str:
    """Predict on all images that are named or in named folders, or on videos; return what to print.

    That is the path of the results or, without a file `to` for them, the results. Pictures of the
    visible ones go to the folder `draw`, if any. An image that cannot be read, or is above the
    `limit`, is named in a warning. For videos, `to` is a folder; `predict_videos` says
    what it gets. Raises DataError if nothing can be read, and then writes no file; ParamsError as
    `find_files` does, or for a folder that cannot be written to.
    """
    files, videos = find_files(names, to, draw)
    for folder in filter(None, (to if videos else to and to.parent, draw)):
        make_folder(folder)
    if videos and to:
        from datastill.commands import predict_videos  # imports FFmpeg and OpenCV

        return predict_videos.run(predictor, by_name(videos), to, draw)
    predictions = list(_predict(predictor, files, draw, limit))
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
    images, categories = [image for image, _ in predictions], [*predictor.model.metadata.categories]
    write_text(beside, json.dumps({"images": images, "categories": categories}, indent=1))
    write_text(to, text + "\n")
    return f"{len(results)} objects on {len(images)} images: {to}; the images: {beside}"


def find_files(
    names: Sequence[str], to: Path | None, draw: Path | None = None
) -> tuple[list[str], list[Path]]:
    """Return the images that are named or in named folders, or else the videos.

    Raises ParamsError if both are named, if `to` does not suit them or has files of these names
    that no prediction wrote, or if one of them is in the folder `draw`.
    """
    files = list(dict.fromkeys(file for name in names for file in _files(name)))
    videos = [Path(file) for file in files if Path(file).suffix.lower() in VIDEO_KINDS]
    if videos and (len(videos) < len(files) or to is None or to.is_file()):
        raise ParamsError(
            "expected only images, or only videos with a folder as --to for their tables"
        )
    if to and not to.is_dir() and _is_input(to, names):
        raise ParamsError(
            f"--to: expected a file for the results or a folder, found an image or video: {to}"
        )
    if not videos and to and to.is_dir():
        raise ParamsError(f"--to: expected a file for the results of images, found folder {to}")
    if draw and (inside := [file for file in files if realpath(draw) in _folders(file)]):
        raise ParamsError(
            f"--draw: {draw} has {inside[0]}, to predict on, and would have what is drawn beside "
            "it or in its place; choose a folder of its own"
        )
    tables = [to / f"{name}.csv" for name in by_name(videos)] if to and videos else []
    for path in tables or filter(None, [to]):
        if path.is_file() and not _WRITTEN.match(_beginning(path)):
            raise ParamsError(f"--to: {path} is there, and no prediction wrote it; choose another")
    return ([], videos) if videos else (files, [])


def by_name(videos: Sequence[Path]) -> dict[str, Path]:
    """Return the videos by the name of what is written for them.

    It has the video's suffix if another video differs from it in nothing else. Raises ParamsError
    if two videos have one name.
    """
    stems = Counter(video.stem for video in videos)
    names = [video.stem if stems[video.stem] == 1 else video.name for video in videos]
    if twice := [name for name, number in Counter(names).items() if number > 1]:
        raise ParamsError(f"two videos are named {twice[0]}: predict on one of them at a time")
    return dict(zip(names, videos, strict=True))


def _folders(file: str) -> set[str]:
    """Return the folder of `file`, and that of the file it links to."""
    return {realpath(Path(file).parent), str(Path(realpath(file)).parent)}


def _beginning(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(100)


def _is_input(to: Path, names: Sequence[str]) -> bool:
    """Return whether `to` is among `names`, or looks like the first image of a `*.jpg`."""
    kinds = (*IMAGE_KINDS, *VIDEO_KINDS)
    return to.suffix.lower() in kinds or realpath(to) in map(realpath, names)


def _predict(
    predictor: Predictor, files: Sequence[str], draw: Path | None, limit: PixelLimit
) -> Iterator[tuple[Record, list[Record]]]:
    """Yield every readable image and its objects; draw them if there is a folder for it."""
    with Steps("predicting", len(files)) as steps:
        for start in range(0, len(files), _BATCH):
            batch = files[start : start + _BATCH]
            pixels = dict(_read(batch, limit))
            predictions = predictor.predict(list(pixels.values()))
            for (file, image), objects in zip(pixels.items(), predictions, strict=True):
                size = {"width": image.shape[-1], "height": image.shape[-2]}
                record = {"id": image_id(file), "file_name": file, **size}
                _draw(draw, record, image, predictor.visible(objects), predictor.model.metadata)
                yield record, objects
            steps.advance(len(batch))


def _files(name: str) -> Iterator[str]:
    """Yield the file `name` as given, or the images, else the videos, in the folder `name`."""
    if not Path(name).is_dir():
        yield name
        return
    paths = [path for path in sorted(Path(name).rglob("*")) if path.is_file()]
    images = [path for path in paths if path.suffix.lower() in IMAGE_KINDS]
    videos = [path for path in paths if path.suffix.lower() in VIDEO_KINDS]
    yield from (path.as_posix() for path in images or videos)


def _read(files: Sequence[str], limit: PixelLimit) -> Iterator[tuple[str, Tensor]]:
    for file in files:
        try:
            if not Path(file).exists():
                raise DataError(f"{file}: no such file or folder")
            yield file, read_image(Path(file), limit=limit)
        except DataError as error:
            _log.warning("left out: %s", error)


def _draw(
    folder: Path | None, record: Record, image: Tensor, objects: list[Record], metadata: Metadata
) -> None:
    if folder:
        from datastill.images.contact_sheet import draw_annotations, write_png  # imports OpenCV

        picture = draw_annotations(image.permute(1, 2, 0).numpy(), objects, metadata)
        write_png(folder / f"{Path(record['file_name']).stem}-{record['id']}.png", picture)
