"""COCO JSON, the format between the stages: content, reader and writer."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from reprlib import repr as excerpt
from typing import Any, Literal

from datastill.errors import DataError
from datastill.io import atomic, read_json

Record = dict[str, Any]  # one COCO image, annotation or category, as in the file
Task = Literal["keypoints", "boxes"]  # what is learned from the annotations

PERSON_KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
PERSON: Record = {
    "id": 1,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(PERSON_KEYPOINTS),
    "skeleton": [  # 1-based pairs, as COCO writes them
        [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9],
        [8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7],
    ],
}  # fmt: skip

_NUMBER: set[type] = {int, float}
_WHOLE: set[type] = {int}
_FIELDS: dict[str, dict[str, set[type]]] = {  # that datastill writes, with their types
    "images": {
        **{"id": _WHOLE, "file_name": {str}, "width": _WHOLE, "height": _WHOLE},
        **{"video": {bool, int, str}, "family": _WHOLE},
    },
    "categories": {"id": _WHOLE, "name": {str}, "keypoints": {list}},
    "annotations": {
        **{"id": _WHOLE, "image_id": _WHOLE, "category_id": _WHOLE, "bbox": {list}},
        **{"area": _NUMBER, "iscrowd": _WHOLE, "score": _NUMBER},
        **{"keypoints": {list}, "num_keypoints": _WHOLE},
    },
}
_OPTIONAL = {"video", "family", "score", "keypoints", "num_keypoints"}
_LIMIT = 2**63  # of all numbers: tensors and Parquet hold none beyond
_WRITER = "the data stage writes it"


@dataclass(frozen=True)
class Coco:
    """The content of one COCO JSON file.

    images       {"id", "file_name", "width", "height"}, of a frame also "video"; of an image of val
                 with others of its video or near-duplicates "family", the id of the first
    annotations  {"id", "image_id", "category_id", "bbox" (x, y, width, height), "area", "iscrowd"},
                 of a category with keypoints "keypoints" (x, y, v)*k, "num_keypoints"; generated
                 ones also "score"
    categories   {"id", "name"(, "keypoints", "skeleton")}
    """

    images: Sequence[Record]
    annotations: list[Record]
    categories: list[Record]

    def by_image(self) -> dict[int, list[Record]]:
        """Return the annotations of every image id, [] for an image without any."""
        groups: dict[int, list[Record]] = {image["id"]: [] for image in self.images}
        for annotation in self.annotations:
            groups[annotation["image_id"]].append(annotation)
        return groups

    def keypoint_names(self) -> tuple[str, ...]:
        """Return the keypoint names of the first category that has any, () if none has."""
        return next((tuple(c["keypoints"]) for c in self.categories if c.get("keypoints")), ())


def image_id(file_name: str) -> int:
    """Return an id that depends only on the name: files added to a folder renumber none."""
    return int(hashlib.sha256(file_name.encode()).hexdigest()[:13], 16)


def read_coco(path: Path) -> Coco:
    """Read COCO JSON that datastill wrote.

    Raises DataError, naming the file, if it is absent or malformed, or if an annotation is of an
    image or a category that it does not list.
    """
    advice = "`datastill annotate` writes it" if path.parent.name == "annotations" else _WRITER
    coco = parse_coco(path, read_json(path, "COCO JSON", advice), f"{advice} again")
    if fault := next(_faults(coco), None):
        raise DataError(f"{path}: {fault}; {advice} again")
    return coco


def _faults(coco: Coco) -> Iterator[str]:
    """Yield a record that lacks what datastill writes; what follows the first relies on it."""
    for section, fields in _FIELDS.items():
        for record in getattr(coco, section):
            wrong = [key for key, kinds in fields.items() if not _fits(record, key, kinds)]
            yield from (f"{section}: {excerpt(record['id'])} has no valid {key}" for key in wrong)
    images = {image["id"] for image in coco.images}
    names = {each["id"]: each.get("keypoints") or [] for each in coco.categories}
    odd = (key for key, points in names.items() if {*map(type, points)} - {str})
    yield from (f"categories: {key} has keypoints other than names" for key in odd)
    for a in coco.annotations:
        if a["image_id"] not in images or a["category_id"] not in names:
            kind = "a category" if a["image_id"] in images else "an image"
            yield f"annotations: {a['id']} names {kind} that the file does not list"
        elif not _is_shaped(a, len(names[a["category_id"]])):
            yield f"annotations: {a['id']} has no valid box or keypoints"


def _fits(record: Record, key: str, kinds: set[type]) -> bool:
    value, lowest = record.get(key), 1 if key in ("width", "height") else -_LIMIT
    if value is None:
        return key in _OPTIONAL
    return type(value) in kinds and (not kinds <= _NUMBER or lowest <= value < _LIMIT)


def _is_shaped(annotation: Record, keypoints: int) -> bool:
    """Return whether it has a box, and so many keypoints with their number, of finite numbers."""
    numbers = [*annotation["bbox"], *(annotation.get("keypoints") or ())]
    counted = not keypoints or annotation.get("num_keypoints") is not None
    return (
        (len(annotation["bbox"]), len(numbers)) == (4, 4 + 3 * keypoints)
        and {*map(type, numbers)} <= _NUMBER
        and sum(map(abs, numbers)) < _LIMIT  # not of NaN either
        and counted
    )


def parse_coco(path: Path, content: Any, advice: str) -> Coco:
    """Return the JSON `content` of `path`.

    Raises DataError, with `advice` on what to do, if a section or an id is missing.
    """
    sections = content if isinstance(content, dict) else {}
    names = ("images", "annotations", "categories")
    if missing := [name for name in names if not isinstance(sections.get(name), list)]:
        lacking = f"expected COCO JSON, found no list of {', '.join(missing)}"
        raise DataError(f"{path}: {lacking}; {advice}")
    for name in names:
        for number, record in enumerate(sections[name], start=1):
            if not isinstance(record, dict) or "id" not in record:
                lacking = f"expected an id in all {name}, but number {number:,} of them has none"
                raise DataError(f"{path}: {lacking}; {advice}")
    return Coco(*(sections[name] for name in names))


def write_coco(
    path: Path, coco: Coco, annotations: Iterable[Record] | None = None, info: Record | None = None
) -> None:
    """Write `coco` to `path` atomically: equal bytes for equal content.

    `annotations` stand in for its own; no more than a batch of them is held in memory. `info`
    becomes COCO's section of that name.
    """
    about = f'"info":{json.dumps(info)},' if info else ""
    with atomic(path) as partial, partial.open("w", encoding="utf-8") as file:
        for head, records in (
            (f'{{{about}"images":[', coco.images),
            ('],"annotations":[', coco.annotations if annotations is None else annotations),
            ('],"categories":[', coco.categories),
        ):
            file.write(head)
            remaining, comma = iter(records), ""
            while batch := [*islice(remaining, 1000)]:  # faster than one by one
                file.write(comma + json.dumps(batch, separators=(",", ":"))[1:-1])
                comma = ","
        file.write("]}")
