"""Image sets under the paper's names (section 5.1): which images and whose annotations."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from datastill.data.coco import Coco, Record
from datastill.data.images import Refusal, image_id, upright_size
from datastill.errors import DataError

IMAGE_KINDS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_COCO_NAME = re.compile(r"(?:COCO_\w+_)?(\d{12}\.jpg)")  # of 2014 and of 2017


@dataclass(frozen=True)
class Folder:
    """A folder of images: where it lies, and the name under which a profile links to it."""

    path: Path
    name: str

    def listing(self) -> set[str]:
        """Return the files in it, by name relative to it; raises DataError where it is absent."""
        if not self.path.is_dir():
            raise DataError(f"{self.path}: no such folder of images")
        return set(_files(self.path))


def _files(folder: Path) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        inside = Path(place).relative_to(folder)
        yield from ((inside / name).as_posix() for name in names)


def located(coco: Coco, folders: Sequence[Folder]) -> tuple[Coco, list[Refusal]]:
    """Return `coco` with every `file_name` as "<name of its folder>/<file>", and what is nowhere.

    An image lies in the first of `folders` that has it, under its own name or, for COCO's images,
    under that of 2014 or 2017; folders that are absent are passed over.
    Raises DataError where a name leaves its folder or no image at all is found.
    """
    listings = [(folder, folder.listing()) for folder in folders if folder.path.is_dir()]
    found, refused = [], []
    for image in coco.images:
        _stay_inside(image["file_name"])
        if place := _place(image["file_name"], listings):
            found.append({**image, "file_name": place})
        else:
            tried = ", ".join(str(folder.path) for folder in folders)
            refused.append(Refusal(image["file_name"], f"no such file in {tried}"))
    if refused and not found:
        raise DataError(f"none of {len(refused)} images is there: {refused[0].reason}")
    return only(coco, found), refused


def _stay_inside(file_name: str) -> None:
    path = PurePosixPath(file_name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"file_name {file_name!r} leaves the image folder")


def _place(file_name: str, listings: Sequence[tuple[Folder, set[str]]]) -> str | None:
    for folder, names in listings:
        for name in _names(file_name, folder.path.name):
            if name in names:
                return f"{folder.name}/{name}"
    return None


def _names(file_name: str, folder: str) -> Iterator[str]:
    yield file_name
    if match := _COCO_NAME.fullmatch(PurePosixPath(file_name).name):
        yield match[1]
        yield f"COCO_{folder}_{match[1]}"


def folder_images(folder: Folder) -> tuple[list[Record], list[Refusal]]:
    """Return a record of every image file in `folder`, sorted, and the files that are no image."""
    records: list[Record] = []
    refused: list[Refusal] = []
    names = [n for n in folder.listing() if PurePosixPath(n).suffix.lower() in IMAGE_KINDS]
    for name in sorted(names):
        file_name = f"{folder.name}/{name}"
        try:
            with Image.open(folder.path / name) as image:
                width, height = upright_size(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            refused.append(Refusal(file_name, f"no readable image: {error}"))
            continue
        identity = {"id": image_id(file_name), "file_name": file_name}
        records.append({**identity, "width": width, "height": height})
    return records, refused


def without(coco: Coco, ids: Iterable[int]) -> Coco:
    """Return `coco` less the images of these `ids`: val2014 without minival's, say."""
    left_out = set(ids)
    return only(coco, [image for image in coco.images if image["id"] not in left_out])


def only(coco: Coco, images: Sequence[Record]) -> Coco:
    """Return `coco` with these of its `images` alone, and what is annotated on them."""
    kept = {image["id"] for image in images}
    annotations = [a for a in coco.annotations if a["image_id"] in kept]
    return Coco(list(images), annotations, coco.categories)


def union(parts: Sequence[Coco]) -> Coco:
    """Return the images and annotations of all `parts`, whose ids differ."""
    return Coco(
        [image for part in parts for image in part.images],
        [annotation for part in parts for annotation in part.annotations],
        parts[0].categories,
    )


def missing_images(root: Path, coco: Coco) -> list[str]:
    """Return the file names of the set's images that are not below `root`."""
    return [i["file_name"] for i in coco.images if not (root / i["file_name"]).is_file()]


def with_keypoints(coco: Coco) -> Coco:
    """Return only the images with an annotated keypoint, as Mask R-CNN does to train."""
    kept = {a["image_id"] for a in coco.annotations if a["num_keypoints"] and not a.get("iscrowd")}
    return only(coco, [image for image in coco.images if image["id"] in kept])
