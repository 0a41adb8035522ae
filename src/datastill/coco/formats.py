"""Are these labels COCO JSON, and if they are not, what are they?"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from datastill.coco.format import Coco
from datastill.coco.normalize import read_published
from datastill.errors import DataError

_WANTED = "expected COCO JSON (images, annotations, categories)"
_ADVICE = "export it as COCO JSON from the tool it comes from, or convert it"
_SAMPLE = 4096  # characters: enough of a text to know its format
_BY_KEYS = {  # of JSON: those that only this format has
    ("shapes", "imagePath"): "LabelMe JSON of one image",
    ("_via_img_metadata",): "a VIA project",
    ("samples",): "a FiftyOne dataset",
    ("licenses", "images"): "COCO JSON of images alone, without annotations",
    ("type", "features"): "GeoJSON",
}
_BY_KEYS_OF_FIRST = {  # of a JSON list: those of its first record
    ("image_id", "category_id", "score"): "COCO results: detections, not a data set",
    ("image_id", "bbox"): "a bare list of annotations",
    ("annotations", "data"): "Label Studio's own JSON",
    ("predictions", "data"): "Label Studio's own JSON",
    ("shapes", "imagePath"): "LabelMe JSON",
}


def read_labels(path: Path) -> Coco:
    """Read human labels from COCO JSON.

    Raises DataError, naming the file, where `read_foreign` does, where it lists no image or
    annotation, or holds generated annotations (with a `score`).
    """
    coco = read_foreign(path)
    for what, records in (("images", coco.images), ("annotations", coco.annotations)):
        if not records:
            raise DataError(f"{path}: expected {what}, found none; {_ADVICE}")
    if generated := [a["id"] for a in coco.annotations if "score" in a]:
        raise DataError(
            f"{path}: expected labels of people, found {len(generated):,} annotations with a "
            f"score, such as {generated[0]}: generated ones; have them corrected, then "
            "`datastill merge` makes labels of them"
        )
    return coco


def read_foreign(path: Path) -> Coco:
    """Read COCO JSON that somebody else wrote.

    Raises DataError, naming the file, where it is absent or of another format, or its categories
    have no or the same names or are not all listed, or an image has no file name.
    """
    if found := _other_format(path):
        raise DataError(f"{path}: {_WANTED}, found {found}; {_ADVICE}")
    coco = read_published(path)
    _check_categories(path, coco)
    if nameless := [i["id"] for i in coco.images if not isinstance(i.get("file_name"), str)]:
        raise DataError(f"{path}: images {nameless[:5]} have no file_name")
    known = {category["id"] for category in coco.categories}
    if lost := [a["id"] for a in coco.annotations if a.get("category_id") not in known]:
        raise DataError(
            f"{path}: annotations {lost[:5]} name categories that the file does not list"
        )
    return coco


def _check_categories(path: Path, coco: Coco) -> None:
    names = [category.get("name") for category in coco.categories]
    ids = [category["id"] for category in coco.categories]
    for what, values in (("a name", names), ("an id", ids)):
        if not values or None in values or max(Counter(values).values()) > 1:
            raise DataError(
                f"{path}: expected {what} of its own for every category, found {values}"
            )


def _other_format(path: Path) -> str | None:
    """Return what is at `path` where it is no COCO JSON; None where it may be, or is absent."""
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        return None
    suffix, start = path.suffix.lower(), _start(path)
    if start is None:
        return "an archive; unpack it first" if suffix in {".zip", ".gz", ".tar"} else "no text"
    if suffix == ".xml" or start.lstrip().startswith("<"):
        return _xml(start)
    if suffix in {".csv", ".tsv"}:
        return f"a table with the columns {start.splitlines()[0]!r}" if start else "an empty table"
    if suffix in {".yaml", ".yml"}:
        return "YAML, as of a YOLO data set"
    if _is_yolo(start):
        return "YOLO text (class x y width height)"
    return _json(path)


def _start(path: Path) -> str | None:
    """Return the first characters of a text, None where it is none."""
    with path.open("rb") as file:
        content = file.read(_SAMPLE)
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8-sig", "strict" if len(content) < _SAMPLE else "ignore")
    except UnicodeDecodeError:
        return None


def _folder(path: Path) -> str:
    kinds = Counter(file.suffix.lower() for file in path.iterdir() if file.is_file())
    named = {".txt": "YOLO text", ".xml": "Pascal VOC XML", ".json": "JSON"}
    kind, count = next(((k, kinds[k]) for k, _ in kinds.most_common() if k in named), ("", 0))
    return f"a folder with {count:,} files of {named[kind]}" if kind else "a folder"


def _xml(start: str) -> str:
    if "<annotations" in start:
        return "XML of CVAT"
    return "Pascal VOC XML of one image" if "<annotation" in start else "XML"


def _is_yolo(start: str) -> bool:
    lines = [line.split() for line in start.splitlines()[:3] if line.strip()]
    try:
        return bool(lines) and all(len(line) >= 5 and [*map(float, line)] for line in lines)
    except ValueError:
        return False


def _json(path: Path) -> str | None:
    """Return which JSON of others is at `path`; None where it is COCO's, or no JSON at all."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError):
        return None
    if isinstance(content, list):
        first = content[0] if content and isinstance(content[0], dict) else {}
        return _named(first, _BY_KEYS_OF_FIRST) or f"a JSON list of {len(content):,}"
    if not isinstance(content, dict):
        return f"JSON that is one {type(content).__name__}"
    if {"images", "annotations", "categories"} <= content.keys():
        return None
    return _named(content, _BY_KEYS) or f"JSON with the keys {', '.join([*content][:5]) or 'none'}"


def _named(record: dict[str, Any], formats: dict[tuple[str, ...], str]) -> str | None:
    return next((name for keys, name in formats.items() if {*keys} <= record.keys()), None)
