"""YOLO labels of boxes, polygons and poses, read as COCO."""

import math
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from PIL import Image

from datastill.coco.format import Coco, Record, image_id
from datastill.coco.image_header import image_size
from datastill.coco.sniff import is_yolo_text
from datastill.coco.yolo_config import CLASS_LISTS, YoloConfig, find_config
from datastill.errors import DataError
from datastill.progress import note_once

_SLACK = 0.01  # of a side: so far outside the image, coordinates count as rounded


def read_yolo(path: Path) -> Coco:
    """Read the images of train and val of a `data.yaml`, or a folder of label files.

    The classes of a folder are in a `data.yaml` or `classes.txt` in it or above it. An image is in
    `images` where its label file is in `labels`, or beside it; images without a label file are left
    out. All splits are below the folder of their `data.yaml`. File names are relative to that or,
    of a folder of labels, to the folder that holds both. A polygon becomes a box with a mask.
    Raises DataError naming the file, and the line, that is absent or malformed.
    """
    config = find_config(path)
    in_splits = config.splits and config.path in {path, path / config.path.name}
    folder = path if path.is_dir() else path.parent
    root, pairs = _of_splits(config) if in_splits else _of_labels(folder)
    if not pairs:
        raise DataError(
            f"{path}: expected images with label files (*.txt), found none; name the folder of "
            "label files, or write the folder of images as `train` into data.yaml"
        )
    images = [(label, image) for label, file in pairs if (image := _image(root, file))]
    objects = [
        (image, number, each)
        for label, image in images
        for number, each in enumerate(_objects(label, image, config))
    ]
    _note(path, len(pairs) - len(images), sum(_clip(each, image) for image, _, each in objects))
    annotations: list[Record] = [
        {"id": image_id(f"{image['file_name']}/{number}"), "image_id": image["id"], **each}
        for image, number, each in objects
    ]
    used = {each["category_id"] - 1 for each in annotations} or config.classes.keys()
    listed = used if config.keypoints else config.classes.keys()
    return Coco(
        [image for _, image in images],
        annotations,
        [config.category(number) for number in sorted(listed)],
    )


def _note(path: Path, unreadable: int, clipped: int) -> None:
    if unreadable:
        note_once(f"{path}: {unreadable:,} images cannot be opened and are left out")
    if clipped:
        note_once(f"{path}: {clipped:,} boxes extend beyond their image and are clipped")


def _of_splits(config: YoloConfig) -> tuple[Path, list[tuple[Path, Path]]]:
    """Return the folder of `data.yaml`, and the label file and image of every labelled image."""
    root = config.path.parent.absolute()
    images = [image for split in config.splits for image in _split(config, root, split)]
    pairs = [(label, image) for image in dict.fromkeys(images) if (label := _label_file(image))]
    if len(config.splits) > 1:
        note_once(
            f"{config.path}: the images of {' and '.join(config.splits)} are taken together; to "
            "keep them apart, name their folders of label files, as --labelled and as --val"
        )
    if without := len({*images}) - len(pairs):
        note_once(f"{config.path}: {without:,} images have no label file and are left out")
    return root, pairs


def _split(config: YoloConfig, root: Path, split: str) -> list[Path]:
    """Return the images of a split: those in a folder, or those that a text file lists."""
    source = _inside(config, root, split)
    if source is None:
        raise DataError(
            f"{config.path}: expected the images of {split!r} below {root}, found none; put "
            "data.yaml into the folder that holds images and labels, or correct its paths"
        )
    if source.is_dir():
        return [file for file in sorted(source.rglob("*")) if _is_image(file)]
    lines = [line.strip() for line in source.read_text(errors="replace").splitlines()]
    listed = {line: _inside(config, root, line) for line in lines if line}
    if absent := [line for line, image in listed.items() if image is None]:
        raise DataError(f"{source}: expected images below {root}, found no {absent[0]!r}")
    return [image for image in listed.values() if image]


def _inside(config: YoloConfig, root: Path, path: str) -> Path | None:
    """Return the file or folder `path` if it is below `root`, with or without `config.base`.

    Roboflow's paths begin with a `..` too many; `base` may be that of another machine.
    """
    path = path.replace("\\", "/")
    bases = (Path(root, config.base, path), Path(root, path), root / path.removeprefix("../"))
    paths = (Path(os.path.normpath(each)) for each in bases)
    return next((each for each in paths if each.is_relative_to(root) and each.exists()), None)


def _label_file(image: Path) -> Path | None:
    beside = image.with_suffix(".txt")
    files = (
        folder / beside.name for folder in (*_twin(image.parent, "images", "labels"), beside.parent)
    )
    return next((file for file in files if file.is_file()), None)


def _twin(folder: Path, name: str, other: str) -> list[Path]:
    """Return `folder` with the last of its parts that is `name` replaced by `other`, if any is."""
    parts = [*folder.parts]
    if name not in parts:
        return []
    last = len(parts) - 1 - parts[::-1].index(name)
    return [Path(*parts[:last], other, *parts[last + 1 :])]


def _of_labels(path: Path) -> tuple[Path, list[tuple[Path, Path]]]:
    """Return the folder that holds labels and images, and every label file with its image."""
    top = path.absolute()
    folder = top / "labels" if (top / "labels").is_dir() else top
    labels = [file for file in sorted(folder.rglob("*.txt")) if file.name not in CLASS_LISTS]
    named = cache(
        lambda each: {f.stem: f for f in sorted(each.glob("*"), reverse=True) if _is_image(f)}
    )
    pairs, folders = [], {folder}
    for label in labels:
        beside = (folder.parent / "images" / label.parent.relative_to(folder), label.parent)
        places = (*_twin(label.parent, "labels", "images"), *beside)
        images = (named(each).get(label.stem) for each in places)
        image = next((each for each in images if each), None)
        if image is None and not is_yolo_text(label):
            continue  # a list of images, or a note
        if image is None:
            shown = " or ".join(map(str, dict.fromkeys(places)))
            raise DataError(
                f"{label}: expected its image {label.stem}.* in {shown}, found none; put it "
                "there, a link is enough, or remove the label file"
            )
        pairs.append((label, image))
        folders.add(image.parent)
    return Path(os.path.commonpath(folders)), pairs


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in Image.registered_extensions() and file.is_file()


def _image(root: Path, file: Path) -> Record | None:
    """Return the record of an image, as wide and high as it is displayed, None if it is damaged."""
    try:
        width, height = image_size(file)
    except DataError:
        return None
    name = Path(os.path.relpath(file, root)).as_posix()
    return {"id": image_id(name), "file_name": name, "width": width, "height": height}


def _objects(label: Path, image: Record, config: YoloConfig) -> Iterator[Record]:
    try:
        lines = label.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{label}: expected YOLO text, found no readable text: {error}") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _object(line.split(), image, config)
            except DataError as error:
                raise DataError(
                    f"{label}, line {number}: {error}, found {_short(line)}; correct the line"
                ) from None


def _short(line: str) -> str:
    return repr(line if len(line) < 80 else f"{line[:80]}...")


def _object(texts: Sequence[str], image: Record, config: YoloConfig) -> Record:
    """Return the object of a line: its `bbox` may extend beyond the image."""
    try:
        first, *numbers = map(float, texts)
    except ValueError:
        first, numbers = math.nan, []
    if not all(map(math.isfinite, (first, *numbers))):
        raise DataError("expected numbers")
    if first not in config.classes:
        raise DataError(f"expected a class of {config.path} ({_range(config)})")
    record: Record = {"category_id": int(first) + 1, "iscrowd": 0}
    size = image["width"], image["height"]
    if config.keypoints:
        expected = 4 + len(config.keypoints) * config.numbers
        if len(numbers) != expected:
            raise DataError(
                f"expected {1 + expected} numbers: class, x, y, width, height and {config.numbers} "
                f"for each of {len(config.keypoints)} keypoints (kpt_shape)"
            )
        return record | _box(numbers[:4], size) | _keypoints(numbers[4:], config.numbers, size)
    if len(numbers) == 4:
        return record | _box(numbers, size)
    if len(numbers) < 6 or len(numbers) % 2 or _looks_like_pose(numbers):
        raise DataError(
            "expected class, x, y, width and height (5 numbers), or class and a polygon; for "
            "keypoints, name a data.yaml with kpt_shape"
        )
    return record | _polygon(numbers, size)


def _range(config: YoloConfig) -> str:
    return f"{min(config.classes)} to {max(config.classes)}"


def _looks_like_pose(numbers: Sequence[float]) -> bool:
    return (len(numbers) - 4) % 3 == 0 and {*numbers[6::3]} <= {0.0, 1.0, 2.0}


def _pixels(fractions: Sequence[float], size: tuple[int, int]) -> list[float]:
    """Return x, y, x, y, ... in pixels; raises DataError if they are not fractions of the image."""
    if not all(-_SLACK <= fraction <= 1 + _SLACK for fraction in fractions):
        raise DataError("expected fractions of the image's width and height, from 0 to 1")
    return [fraction * size[i % 2] for i, fraction in enumerate(fractions)]


def _box(numbers: Sequence[float], size: tuple[int, int]) -> Record:
    x, y, width, height = _pixels(numbers, size)
    return {"bbox": [x - width / 2, y - height / 2, width, height]}


def _polygon(numbers: Sequence[float], size: tuple[int, int]) -> Record:
    points = [round(value, 3) for value in _pixels(numbers, size)]
    xs, ys = points[::2], points[1::2]
    bbox = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    return {"bbox": bbox, "segmentation": [points]}


def _keypoints(numbers: Sequence[float], each: int, size: tuple[int, int]) -> Record:
    """Return (x, y, v)*k; a keypoint of two numbers is marked unless both are 0."""
    keypoints: list[float] = []
    for start in range(0, len(numbers), each):
        x, y, *flag = numbers[start : start + each]
        v = flag[0] if flag else 2 * (x > 0 or y > 0)
        if v not in {0, 1, 2}:
            raise DataError("expected 0, 1 or 2 as the third number of every keypoint")
        place = (round(value, 3) for value in _pixels((x, y), size))
        keypoints += [*place, int(v)] if v else [0, 0, 0]
    return {"keypoints": keypoints}


def _clip(record: Record, image: Record) -> bool:
    """Clip the box of `record` to `image`; return whether it was a pixel or more beyond it."""
    x, y, width, height = record["bbox"]
    x1, y1 = max(x, 0.0), max(y, 0.0)
    x2, y2 = min(x + width, float(image["width"])), min(y + height, float(image["height"]))
    record["bbox"] = [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)]
    return max(x1 - x, y1 - y, x + width - x2, y + height - y2) >= 1
