"""Sizes of annotated images, from their files where the annotations lack them."""

from collections.abc import Sequence
from pathlib import Path

from datastill.coco.format import Coco, Record
from datastill.coco.image_header import image_size
from datastill.errors import DataError
from datastill.images.folders import Folder, locate
from datastill.progress import note_once

_ROOM = (2**16, 2**16)  # of an image that does not open, and is refused for that later


def complete_sizes(source: Path, coco: Coco, folders: Sequence[Path]) -> Coco:
    """Return `coco` with the size of its file for every image that lacks width or height.

    They are absent, null, 0 or negative; the size is the upright one. `source` is named in the
    note. Raises DataError if an image that lacks them is in none of `folders`.
    """
    lacking = [image for image in coco.images if _lacks_size(image)]
    if not lacking:
        return coco
    if not folders:
        raise DataError(
            f"{source}: {len(lacking):,} images lack width or height, such as "
            f"{lacking[0]['file_name']}; name the folder of the images with --images"
        )
    named = [Folder(folder, str(number)) for number, folder in enumerate(folders)]
    located, missing = locate(Coco(lacking, [], []), named)
    if missing:
        first = f"{missing[0].file_name}: {missing[0].reason}"
        raise DataError(f"{len(missing):,} images without width and height are not there, {first}")
    note_once(f"{source}: {len(lacking):,} images lack width or height; taken from the files")
    sizes = {image["id"]: _size(folders, image["file_name"]) for image in located.images}
    images = [
        {**image, "width": sizes[image["id"]][0], "height": sizes[image["id"]][1]}
        if image["id"] in sizes and _lacks_size(image)
        else image
        for image in coco.images
    ]
    return Coco(images, coco.annotations, coco.categories)


def _lacks_size(image: Record) -> bool:
    sides = (image.get("width"), image.get("height"))
    lacks = any(side is None or (isinstance(side, int | float) and side <= 0) for side in sides)
    return lacks and isinstance(image.get("file_name"), str)


def _size(folders: Sequence[Path], file_name: str) -> tuple[int, int]:
    number, _, name = file_name.partition("/")
    try:
        return image_size(folders[int(number)] / name)
    except DataError:
        return _ROOM
