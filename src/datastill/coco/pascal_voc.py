"""Pascal VOC XML, read as COCO."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from datastill.coco.format import Coco, Record, image_id
from datastill.coco.xml_reader import parse_number, read_xml
from datastill.errors import DataError
from datastill.progress import note_once

_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class _Object:
    name: str
    bbox: list[float]  # x, y, width, height
    clipped: bool
    difficult: bool


def read_pascal_voc(path: Path) -> Coco:
    """Read a folder of XML files, or those that a list in `ImageSets/Main` names.

    A list's XML files are in the folder `Annotations` beside `ImageSets`. Category ids number the
    names in the whole folder alphabetically, so that all its lists agree. VOC's boxes name their
    first and last pixel, counted from 1; they are clipped to the image. `difficult` objects are
    ordinary ones. Raises DataError naming the file that is absent or malformed.
    """
    folder = path if path.is_dir() else path.absolute().parent.parent.parent / "Annotations"
    files = {file.stem: _read(file) for file in sorted(folder.glob("*.xml"))}
    if not files:
        raise DataError(f"{folder}: expected Pascal VOC files (*.xml), found none")
    stems = [*files] if path.is_dir() else _listed(path)
    if absent := [stem for stem in stems if stem not in files]:
        raise DataError(
            f"{path}: lists {len(stems):,} images, but {folder} lacks the XML files of "
            f"{len(absent):,}, such as {absent[0]}.xml; complete the folder or shorten the list"
        )
    _check_distinct(folder, {stem: files[stem][0]["file_name"] for stem in stems})
    names = sorted({each.name for _, objects in files.values() for each in objects})
    ids = {name: number for number, name in enumerate(names, start=1)}
    chosen = [files[stem] for stem in stems]
    _note(path, [each for _, objects in chosen for each in objects])
    annotations = [
        {"id": image_id(f"{image['file_name']}/{number}"), "image_id": image["id"],
         "category_id": ids[each.name], "bbox": each.bbox, "iscrowd": 0}
        for image, objects in chosen for number, each in enumerate(objects)
    ]  # fmt: skip
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return Coco([image for image, _ in chosen], annotations, categories)


def _check_distinct(folder: Path, images: Mapping[str, str]) -> None:
    """Raise DataError if two XML files are of one image; `images` are file names by stem."""
    first: dict[str, str] = {}
    for stem, name in images.items():
        if first.setdefault(name, stem) != stem:
            raise DataError(
                f"{folder}: {first[name]}.xml and {stem}.xml have the same <filename>, {name}; "
                "correct or remove one of them"
            )


def _listed(path: Path) -> list[str]:
    """Return the first word of every line: lists of one category also say whether it is there."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a list of images, one a line: {error}") from None
    return [line.split()[0] for line in lines if line.strip()]


def _note(path: Path, objects: list[_Object]) -> None:
    if clipped := sum(each.clipped for each in objects):
        note_once(f"{path}: {clipped:,} boxes extend beyond their image and are clipped")
    if difficult := sum(each.difficult for each in objects):
        note_once(
            f"{path}: {difficult:,} objects are marked difficult; they count as the others do"
        )


def _read(file: Path) -> tuple[Record, list[_Object]]:
    """Return the image record of an XML file, and its objects."""
    root = read_xml(file, "Pascal VOC XML")
    try:
        name = _text(root, "filename")
        width, height = (int(_number(root, f"size/{side}")) for side in ("width", "height"))
        if width < 1 or height < 1:
            raise DataError(f"expected a size in pixels, found {width} x {height}")
        objects = [_object(each, width, height) for each in root.iter("object")]
    except DataError as error:
        raise DataError(f"{file}: {error}; correct the file") from None
    size = {"width": width, "height": height}
    return {"id": image_id(name), "file_name": name, **size}, objects


def _object(element: Element, width: int, height: int) -> _Object:
    name = _text(element, "name")
    left, top, right, bottom = (_number(element, f"bndbox/{side}") for side in _SIDES)
    x1, y1 = max(left - 1, 0.0), max(top - 1, 0.0)
    x2, y2 = min(right, float(width)), min(bottom, float(height))
    bbox = [x1, y1, x2 - x1, y2 - y1]
    clipped = (x1, y1, x2, y2) != (left - 1, top - 1, right, bottom)
    return _Object(name, bbox, clipped, element.findtext("difficult", "0").strip() == "1")


def _text(element: Element, key: str) -> str:
    if not (text := (element.findtext(key) or "").strip()):
        raise DataError(f"expected <{key}> in <{element.tag}>, found none")
    return text


def _number(element: Element, key: str) -> float:
    return parse_number(_text(element, key), f"<{key}>")
