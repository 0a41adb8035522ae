"""Which labels are people's, once generated annotations were corrected in a labelling tool?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from datastill.coco.format import Coco, Record
from datastill.errors import DataError

_SAME = 0.5  # pixels: tools round
_OURS = ("id", "image_id", "category_id", "score")  # of an annotation: made anew here


@dataclass(frozen=True)
class Conflict:
    """An image on which two files with people's labels disagree; the later one is taken."""

    image: str
    earlier: str
    earlier_instances: int
    taken: str
    taken_instances: int


@dataclass
class Merged:
    """The labels of all files together, and how they came together.

    images     by key: the record with its file name below the images' folder
    labels     by key: people's annotations, with ids still to be made
    sources    by key: the file they are of
    untouched  by file: images whose annotations all still have a score, so nobody saw to them
    """

    categories: list[Record]
    images: dict[str, Record] = field(default_factory=dict)
    labels: dict[str, list[Record]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    untouched: dict[str, int] = field(default_factory=dict)

    def coco(self) -> Coco:
        """Return one COCO content; images keep their ids where they are free."""
        images, annotations, numbers = [], [], count(1)
        taken: set[int] = set()
        free = (n for n in count(1) if n not in taken)
        wanted = {image["id"] for image in self.images.values()}
        for key, image in self.images.items():
            number = image["id"]
            if number in taken:
                number = next(n for n in free if n not in wanted)
            taken.add(number)
            images.append({**image, "id": number})
            for label in self.labels[key]:
                annotations.append({"id": next(numbers), "image_id": number, **label})
        return Coco(images, annotations, self.categories)


# an image's file name, and whether the first file says so: its key, its name in what is merged
Naming = Callable[[str, bool], tuple[str, str]]


def merge(files: Mapping[str, Coco], naming: Naming, scored: bool) -> Merged:
    """Merge human labels, the first of `files` (name: content) with those that correct it or add.

    An image is a person's work if a file lists it, except where all its annotations still have a
    `score`: those are generated and nobody saw to them, unless `scored` says that somebody did. An
    image without annotations has nothing on it. Categories and keypoints go by their names in the
    first file. Raises DataError, naming the file, where these are unknown or an image is listed
    twice or with another size.
    """
    base = next(iter(files.values()))
    merged = Merged(base.categories)
    for name, coco in files.items():
        translate = _translation(name, coco, base.categories)
        grouped, seen = _by_image(name, coco), set[str]()
        merged.untouched[name] = 0
        for image in coco.images:
            key, file_name = naming(image["file_name"], coco is base)
            if key in seen:
                raise DataError(
                    f"{name}: expected every image once, found {file_name} twice; where folders "
                    "tell images apart, say which with --images"
                )
            seen.add(key)
            labels = grouped[image["id"]]
            if labels and not scored and all("score" in label for label in labels):
                merged.untouched[name] += 1
                continue
            _take(merged, name, key, {**image, "file_name": file_name}, [*map(translate, labels)])
    return merged


def _by_image(name: str, coco: Coco) -> dict[int, list[Record]]:
    groups: dict[int, list[Record]] = {image["id"]: [] for image in coco.images}
    for annotation in coco.annotations:
        if annotation.get("image_id") not in groups:
            raise DataError(
                f"{name}: annotation {annotation['id']} names an image it does not list"
            )
        groups[annotation["image_id"]].append(annotation)
    return groups


def _take(merged: Merged, source: str, key: str, image: Record, labels: list[Record]) -> None:
    known = merged.images.get(key)
    if known is None:
        merged.images[key] = image
    else:
        sizes = [(each.get("width"), each.get("height")) for each in (known, image)]
        if sizes[0] != sizes[1]:
            raise DataError(
                f"{source}: {image['file_name']} is {sizes[1]}, in {merged.sources[key]} it is "
                f"{sizes[0]}: two images of one name? Say where they are with --images"
            )
        if not _alike(merged.labels[key], labels):
            before = merged.sources[key], len(merged.labels[key])
            conflict = Conflict(known["file_name"], *before, source, len(labels))
            merged.conflicts.append(conflict)
    merged.labels[key], merged.sources[key] = labels, source


def _alike(one: Sequence[Record], other: Sequence[Record]) -> bool:
    """Return whether both say the same, up to order and rounding."""
    left = [*map(_numbers, other)]
    for mine in map(_numbers, one):
        same = (i for i, theirs in enumerate(left) if _close(mine, theirs))
        if (found := next(same, None)) is None:
            return False
        del left[found]
    return not left


def _close(one: list[float], other: list[float]) -> bool:
    return len(one) == len(other) and np.allclose(one, other, atol=_SAME, rtol=0)


def _numbers(label: Record) -> list[float]:
    return [label["category_id"], *label.get("bbox", ()), *(label.get("keypoints") or ())]


def _translation(name: str, coco: Coco, categories: Sequence[Record]) -> Callable[[Record], Record]:
    """Return what makes an annotation of `coco` one of the first file's `categories`."""
    known = {category["name"]: category for category in categories}
    theirs = {category["id"]: category for category in coco.categories}
    used = {annotation.get("category_id") for annotation in coco.annotations}
    if lost := [theirs[i]["name"] for i in used if theirs[i]["name"] not in known]:
        raise DataError(
            f"{name}: expected the categories of the first file ({', '.join(known)}), found "
            f"{', '.join(lost)}; give them these names in the tool"
        )
    orders = {i: _order(name, theirs[i], known[theirs[i]["name"]]) for i in used}
    ids = {i: known[theirs[i]["name"]]["id"] for i in used}

    def translate(label: Record) -> Record:
        number = label["category_id"]
        rest = {key: value for key, value in label.items() if key not in _OURS}
        points = label.get("keypoints")
        if points and orders[number]:
            triples = [points[3 * i : 3 * i + 3] for i in orders[number]]
            rest["keypoints"] = [value for triple in triples for value in triple]
        return {"category_id": ids[number], "iscrowd": 0, **rest}

    return translate


def _order(name: str, theirs: Record, ours: Record) -> list[int]:
    """Return where our keypoints stand among theirs, [] where they are the same."""
    given, wanted = theirs.get("keypoints") or [], ours.get("keypoints") or []
    if not given or given == wanted:
        return []
    if sorted(given) != sorted(wanted):
        raise DataError(
            f"{name}: category {ours['name']!r}: expected the keypoints {wanted}, found {given}"
        )
    return [given.index(point) for point in wanted]
