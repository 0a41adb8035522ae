"""Folders of images and the images of annotation files in them."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from datastill.coco.format import Coco, Record, image_id
from datastill.coco.subsets import subset
from datastill.errors import DataError
from datastill.images.load import Refusal, image_size, printable

IMAGE_KINDS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEO_KINDS = (
    ".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm",
    ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv",
)  # fmt: skip
_COCO_NAME = re.compile(r"(?:COCO_\w+_)?(\d{12}\.jpg)")  # of 2014 and of 2017


@dataclass(frozen=True)
class Folder:
    """A folder of images and the name under which a profile links to it."""

    path: Path
    name: str

    def listing(self) -> set[str]:
        """Return its files, by name relative to it; raises DataError if it is absent."""
        if not self.path.is_dir():
            raise DataError(f"{self.path}: no such folder of images")
        walk = ((Path(root).relative_to(self.path), names) for root, _, names in os.walk(self.path))
        return {(folder / name).as_posix() for folder, names in walk for name in names}


def locate(coco: Coco, folders: Sequence[Folder]) -> tuple[Coco, list[Refusal]]:
    """Return `coco` with each `file_name` as "<folder's name>/<file>", and the images not found.

    The first of `folders` that has an image is used, under its own name or, for COCO's images,
    its name of 2014 or 2017; absent folders are skipped.
    Raises DataError if a name leaves its folder or no image at all is found.
    """
    listings = [(f.name, _by_name(f.listing())) for f in folders if f.path.is_dir()]
    tried = ", ".join(str(folder.path) for folder in folders)
    located, refused = [], []
    for image in coco.images:
        first, *others = image["file_name"].replace("\\", "/").split("/")
        if ".." in (first, *others) or (others and not first):
            raise DataError(f"file_name {image['file_name']!r} leaves the image folder")
        if file_name := _located_name(image["file_name"], listings):
            located.append({**image, "file_name": file_name})
        else:
            refused.append(Refusal(image["file_name"], f"no such file in {tried}"))
    if refused and not located:
        raise DataError(f"none of {len(refused)} images is there: {refused[0].reason}")
    return subset(coco, located), refused


def bare_name(file_name: str) -> str:
    """Return the name without its folders and, for COCO's images, without the prefix of 2014."""
    name = file_name.rpartition("/")[2]
    return match[1] if (match := _COCO_NAME.fullmatch(name)) else name


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Return a key that sorts names by the numbers in them: img2 before img10."""
    parts = re.split(r"([0-9]+)", name)  # text and number in turn
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def _by_name(files: Iterable[str]) -> dict[str, str]:
    """Return every file by its own name, and COCO's images also by their bare one."""
    names = sorted(files)
    bare = {bare_name(name): name for name in names if _COCO_NAME.fullmatch(name)}
    return bare | {name: name for name in names}


def _located_name(file_name: str, listings: Iterable[tuple[str, Mapping[str, str]]]) -> str | None:
    bare = bare_name(file_name)
    names = [file_name, bare] if _COCO_NAME.fullmatch(bare) else [file_name]
    matches = (f"{folder}/{files[n]}" for folder, files in listings for n in names if n in files)
    return next(matches, None)


def folder_images(folder: Folder) -> tuple[list[Record], list[Refusal]]:
    """Return a record of every image in `folder`, sorted, and the files that are not images."""
    records: list[Record] = []
    refused: list[Refusal] = []
    names = [n for n in folder.listing() if PurePosixPath(n).suffix.lower() in IMAGE_KINDS]
    for name in sorted(names):
        file_name = f"{folder.name}/{name}"
        try:
            if file_name != printable(file_name):
                raise DataError("its name is not UTF-8; rename it")
            width, height = image_size(folder.path / name)
        except DataError as error:
            refused.append(Refusal(printable(file_name), str(error)))
            continue
        identity = {"id": image_id(file_name), "file_name": file_name}
        records.append({**identity, "width": width, "height": height})
    return records, refused


def missing_images(root: Path, coco: Coco) -> list[str]:
    """Return the file names of the set's images that are not below `root`."""
    return [i["file_name"] for i in coco.images if not (root / i["file_name"]).is_file()]
