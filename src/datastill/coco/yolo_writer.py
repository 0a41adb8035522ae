"""COCO annotations, written as a YOLO data set."""

import os
import shutil
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from datastill.coco.format import Coco, Record
from datastill.coco.skeleton import build_skeleton, keypoint_category
from datastill.errors import DataError

_CONFIG = "data.yaml"
_MARK = "# Written by datastill: its next export replaces this folder.\n"


def write_yolo(folder: Path, coco: Coco, images: Path) -> int:
    """Write `folder` with data.yaml, images and labels; return how many crowds are left out.

    Classes are the categories in their order or, if one has keypoints, that one alone. Boxes and
    keypoints are clipped to their image. Images are links to the files in `images`. An earlier data
    set of this function is replaced. Raises DataError as `check_writable` does.
    """
    check_writable(folder, coco, images)
    places = {image["id"]: _place(image["file_name"]) for image in coco.images}
    category = keypoint_category(coco.categories)
    categories = [category] if category else coco.categories
    classes = {each["id"]: number for number, each in enumerate(categories)}
    unfinished = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        crowds, by_image = 0, coco.by_image()
        for image in coco.images:
            objects = [a for a in by_image[image["id"]] if a["category_id"] in classes]
            crowds += sum(bool(a.get("iscrowd")) for a in objects)
            lines = [_line(a, classes, image) for a in objects if not a.get("iscrowd")]
            label = unfinished / "labels" / places[image["id"]].with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            _link(unfinished / "images" / places[image["id"]], images / image["file_name"])
        (unfinished / _CONFIG).write_text(_config(categories), encoding="utf-8")
        _remove(folder)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return crowds


def check_writable(folder: Path, coco: Coco, images: Path) -> None:
    """Raise DataError if `write_yolo` cannot write these.

    That is if `folder` is anything but a data set that it wrote, an image is absent or two would
    have one file of labels.
    """
    if folder.exists() and not _is_written(folder / _CONFIG):
        raise DataError(
            f"{folder}: expected no folder, or a YOLO data set that datastill wrote, to replace; "
            "move it, or export to another folder"
        )
    _check_images(coco, images)


def remove_yolo(folder: Path) -> None:
    """Remove `folder` if it is a data set that `write_yolo` wrote."""
    if _is_written(folder / _CONFIG):
        _remove(folder)


def _is_written(config: Path) -> bool:
    """Return whether `write_yolo` wrote the file."""
    return config.is_file() and config.read_bytes().startswith(_MARK.encode())


def _remove(folder: Path) -> None:
    """Remove an earlier data set; of a link, only the link."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _place(file_name: str) -> PurePosixPath:
    """Return where an image is in `images`: trainers look for labels by the folder `images`."""
    return PurePosixPath(*(part for part in file_name.split("/") if part not in ("images", "")))


def _check_images(coco: Coco, images: Path) -> None:
    absent = [i["file_name"] for i in coco.images if not (images / i["file_name"]).is_file()]
    if absent:
        raise DataError(
            f"{images}: expected the {len(coco.images):,} annotated images, {len(absent):,} are "
            f"absent, such as {absent[0]}; run the data stage again"
        )
    labels = Counter(_place(image["file_name"]).with_suffix(".txt") for image in coco.images)
    for label, times in labels.items():
        if times > 1:
            raise DataError(
                f"expected images that differ in more than their suffix, found {times} whose "
                f"labels would be {label}; rename them"
            )


def _link(link: Path, file: Path) -> None:
    """Link to `file`, or copy it where links are not allowed."""
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        link.symlink_to(os.path.realpath(file))
    except OSError:
        shutil.copyfile(file, link)


def _line(annotation: Record, classes: dict[int, int], image: Record) -> str:
    """Return class, box (x, y of its centre, width, height) and keypoints, all in fractions."""
    size = image["width"], image["height"]
    x, y, width, height = annotation["bbox"]
    x1, y1, x2, y2 = (
        _fraction(v, size[i % 2]) for i, v in enumerate((x, y, x + width, y + height))
    )
    numbers = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
    texts = [f"{number:.9f}" for number in numbers]
    for x, y, v in zip(*[iter(annotation.get("keypoints") or [])] * 3, strict=True):
        place = (_fraction(x, size[0]), _fraction(y, size[1])) if v else (0, 0)
        texts += [*(f"{number:.9f}" for number in place), str(int(v))]
    return " ".join([str(classes[annotation["category_id"]]), *texts])


def _fraction(value: float, side: int) -> float:
    return min(max(value / side, 0.0), 1.0)


def _config(categories: list[Record]) -> str:
    names = [str(each["name"]) for each in categories]
    content: dict[str, Any] = {"train": "images", "names": dict(enumerate(names))}
    if skeleton := build_skeleton(categories):
        content |= {
            "kpt_shape": [len(skeleton), 3],
            "flip_idx": [*skeleton.flip_indices],
            "kpt_names": {0: [*skeleton.names]},
        }
    head = "# Trainers also need `val`: the folder of images with labels made by people.\n"
    return _MARK + head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
