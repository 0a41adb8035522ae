"""Image sets under the paper's names (section 5.1): which images and whose annotations."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from datastill.coco.format import Coco, Record
from datastill.errors import DataError
from datastill.images.load import (
    NOT_READ,
    Refusal,
    image_id,
    open_image,
    printable,
    upright_size,
)

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
        inside = Path(place).relative_to(folder).as_posix()
        yield from (name if inside == "." else f"{inside}/{name}" for name in names)


def located(coco: Coco, folders: Sequence[Folder]) -> tuple[Coco, list[Refusal]]:
    """Return `coco` with every `file_name` as "<name of its folder>/<file>", and what is nowhere.

    An image lies in the first of `folders` that has it, under its own name or, for COCO's images,
    under that of 2014 or 2017; folders that are absent are passed over.
    Raises DataError where a name leaves its folder or no image at all is found.
    """
    listings = [(f, _by_name(f.listing())) for f in folders if f.path.is_dir()]
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
    first, *others = file_name.replace("\\", "/").split("/")
    if ".." in (first, *others) or (others and not first):
        raise DataError(f"file_name {file_name!r} leaves the image folder")


def plain_name(file_name: str) -> str:
    """Return the name without its folders and, for COCO's images, without that of 2014's set."""
    name = file_name.rpartition("/")[2]
    match = _COCO_NAME.fullmatch(name)
    return match[1] if match else name


def _by_name(files: Iterable[str]) -> dict[str, str]:
    """Return every file by its own name, and COCO's images also by their plain one."""
    names = sorted(files)
    plain = {plain_name(name): name for name in names if _COCO_NAME.fullmatch(name)}
    return plain | {name: name for name in names}


def _place(file_name: str, listings: Sequence[tuple[Folder, Mapping[str, str]]]) -> str | None:
    plain = plain_name(file_name)
    wanted = [file_name, plain] if _COCO_NAME.fullmatch(plain) else [file_name]
    found = (f"{f.name}/{files[n]}" for f, files in listings for n in wanted if n in files)
    return next(found, None)


def folder_images(folder: Folder) -> tuple[list[Record], list[Refusal]]:
    """Return a record of every image file in `folder`, sorted, and the files that are no image."""
    records: list[Record] = []
    refused: list[Refusal] = []
    names = [n for n in folder.listing() if PurePosixPath(n).suffix.lower() in IMAGE_KINDS]
    for name in sorted(names):
        file_name = f"{folder.name}/{name}"
        if file_name != (text := printable(file_name)):
            refused.append(Refusal(text, "its name is no UTF-8; rename it"))
            continue
        try:
            with open_image(folder.path / name) as image:
                width, height = upright_size(image)
        except NOT_READ as error:
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
    """Return the images and annotations of all `parts`; raises DataError where they share ids."""
    images = [part.images for part in parts]
    annotations = [part.annotations for part in parts]
    for what, sections in (("images", images), ("annotations", annotations)):
        _ids_apart(what, sections)
    return Coco(list(chain(*images)), list(chain(*annotations)), parts[0].categories)


def _ids_apart(what: str, sections: Sequence[Sequence[Record]]) -> None:
    seen: set[int] = set()
    for section in sections:
        ids = {record["id"] for record in section}
        if shared := seen & ids:
            raise DataError(
                f"two {what} of a union have the id {min(shared)}; renumber one of its sets"
            )
        seen |= ids


def missing_images(root: Path, coco: Coco) -> list[str]:
    """Return the file names of the set's images that are not below `root`."""
    return [i["file_name"] for i in coco.images if not (root / i["file_name"]).is_file()]


def with_keypoints(coco: Coco) -> Coco:
    """Return only the images with an annotated keypoint, as Mask R-CNN does to train."""
    kept = {a["image_id"] for a in coco.annotations if a["num_keypoints"] and not a.get("iscrowd")}
    return only(coco, [image for image in coco.images if image["id"] in kept])


def with_objects(coco: Coco) -> Coco:
    """Return only the images with an object that is no crowd, as Detectron does to train."""
    kept = {a["image_id"] for a in coco.annotations if not a.get("iscrowd")}
    return only(coco, [image for image in coco.images if image["id"] in kept])
