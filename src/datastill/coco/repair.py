"""Repairs of published COCO JSON that leave no choice, each with a note."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from reprlib import repr as excerpt
from typing import Any

from datastill.coco.format import Coco, Record, image_id
from datastill.errors import DataError
from datastill.progress import note_once

_WHOLE = re.compile("0|-?[1-9][0-9]{0,18}")  # as text; 007 may differ from 7
_NUMBERS = {  # by section: the fields that are whole numbers
    "images": ("id", "width", "height"),
    "annotations": ("id", "image_id", "category_id"),
    "categories": ("id",),
}


def repair(path: Path, coco: Coco) -> Coco:
    """Return `coco` with what can mean only one thing put right; clean content stays as it is.

    Whole numbers as text or with a point become numbers; an image listed twice with one name and
    size is one image; annotation ids that are repeated or no numbers are renumbered; an unused
    category with the name of a used one and a skeleton that names absent keypoints are dropped.
    Raises DataError, naming `path`, if an id is ambiguous or keypoints are not names.
    """
    images, annotations, categories = (
        _whole_numbers(path, section, getattr(coco, section)) for section in _NUMBERS
    )
    images, moved = _merge_images(path, images)
    annotations = _renumber(path, annotations, moved)
    used = {annotation.get("category_id") for annotation in annotations}
    categories = _drop_namesakes(path, categories, used)
    return Coco(images, annotations, [_known_limbs(path, each) for each in categories])


def is_id(number: Any) -> bool:
    """Return whether all datastill's files and tensors can hold it."""
    return type(number) is int and -(2**63) <= number < 2**63


def _whole_numbers(path: Path, section: str, records: list[Record]) -> list[Record]:
    keys = _NUMBERS[section]
    repaired, example = [], None
    for record in records:
        numbers = {key: _whole(record.get(key)) for key in keys}
        if odd := [k for k, n in numbers.items() if k[-2:] == "id" and isinstance(n, list | dict)]:
            raise DataError(
                f"{path}: {section}: expected a number as {odd[0]}, found {excerpt(record[odd[0]])}"
            )
        changes = {key: n for key, n in numbers.items() if n is not record.get(key)}
        if changes and not example:
            key = next(iter(changes))
            example = f"{key} {record[key]!r} of {section}"
        repaired.append({**record, **changes} if changes else record)
    if example:
        note_once(f"{path}: numbers such as {example} are read as whole numbers")
        _check_distinct(path, section, records)
    return repaired


def _whole(value: Any) -> Any:
    """Return the whole number that text or a float stands for, or else `value`."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:  # exact ones
        return int(value)
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value


def _check_distinct(path: Path, section: str, records: Iterable[Record]) -> None:
    """Raise DataError if one record has a number as its id and another the same as text."""
    written: dict[Any, Any] = {}
    for record in records if section != "annotations" else ():
        if (other := written.setdefault(_whole(record["id"]), record["id"])) != record["id"]:
            raise DataError(
                f"{path}: {section}: expected ids that differ as numbers, found {other!r} and "
                f"{record['id']!r}; write both as numbers"
            )


def _merge_images(path: Path, images: list[Record]) -> tuple[list[Record], dict[Any, Any]]:
    """Return every image once, and the id that stays by each id that is left out."""
    by_name: dict[str, Record] = {}
    by_id: dict[Any, Record] = {}
    kept, moved = [], {}
    for image in images:
        name, number = image.get("file_name"), image["id"]
        if (other := by_id.setdefault(number, image).get("file_name")) != name:
            raise DataError(
                f"{path}: image {number!r} is both {other!r} and {name!r}; renumber one"
            )
        first = by_name.setdefault(name, image) if isinstance(name, str) else image
        sizes = [(each.get("width"), each.get("height")) for each in (first, image)]
        if sizes[0] != sizes[1]:
            raise DataError(
                f"{path}: images {first['id']!r} and {number!r} are both {name!r}, of the sizes "
                f"{sizes[0]} and {sizes[1]}; give each image a file of its own"
            )
        if first is image:
            kept.append(image)
        else:
            moved[number] = first["id"]
    if twice := len(images) - len(kept):
        text = "images are listed twice; each counts once, with the annotations of both"
        note_once(f"{path}: {twice:,} {text}")
    return kept, moved


def _renumber(path: Path, annotations: list[Record], moved: dict[Any, Any]) -> list[Record]:
    """Return the annotations of the images that stay, each with an id of its own, none twice."""
    times = Counter(a["id"] for a in annotations if is_id(a["id"]))
    if not moved and len(times) == len(annotations):
        return annotations
    joined, contents, used = {*moved.values()}, set[str](), set[int]()
    kept, renumbered = [], 0
    for a in annotations:
        number, image = a["id"], moved.get(a.get("image_id"), a.get("image_id"))
        if image not in joined and is_id(number) and times[number] == 1:
            kept.append(a)
            continue
        content = json.dumps({**a, "id": 0, "image_id": image}, sort_keys=True)
        if content in contents:
            continue
        contents.add(content)
        if not is_id(number) or number in used:
            number, renumbered = image_id(f"{len(kept)}/{content}"), renumbered + 1
        used.add(number)
        kept.append({**a, "id": number, **({"image_id": image} if image in joined else {})})
    if renumbered:
        note_once(f"{path}: {renumbered:,} annotations have no id of their own and get a new one")
    if repeats := len(annotations) - len(kept):
        note_once(f"{path}: {repeats:,} annotations are listed twice; each counts once")
    return kept


def _drop_namesakes(path: Path, categories: Sequence[Record], used: set[Any]) -> list[Record]:
    names = [c["name"] for c in categories if c["id"] in used and c.get("name") is not None]
    kept = [c for c in categories if c["id"] in used or c.get("name") not in names]
    if dropped := [c for c in categories if c not in kept]:
        first = dropped[0]
        note_once(
            f"{path}: category {first['id']} is left out: no annotation has it, and its name "
            f"{first['name']!r} is that of another"
        )
    return kept


def _known_limbs(path: Path, category: Record) -> Record:
    """Return the category without a skeleton that is not of its keypoints, counted from 1."""
    names, limbs = category.get("keypoints") or [], category.get("skeleton")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"{path}: category {category.get('name')!r}: expected keypoints as a list of names, "
            f"found {excerpt(names)}"
        )
    ends = range(1, len(names) + 1)
    pairs = isinstance(limbs, list) and all(isinstance(p, list) and len(p) == 2 for p in limbs)
    if not names or not limbs or (pairs and all(end in ends for pair in limbs for end in pair)):
        return category
    note_once(
        f"{path}: category {category.get('name')!r}: the skeleton, which is only drawn, is "
        f"ignored: it is not pairs of keypoints from 1 to {len(names)}"
    )
    return {key: value for key, value in category.items() if key != "skeleton"}
