"""Merge of human labels with generated annotations that were corrected in a labelling tool."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from datastill.coco.format import Coco, Record
from datastill.errors import DataError

_RENEWED = ("id", "image_id", "category_id", "score")  # of an annotation

# an image's file name, and whether it is in the first file: its key, its merged file name
Naming = Callable[[str, bool], tuple[str, str]]


@dataclass(frozen=True)
class Conflict:
    """An image on which two files with human labels disagree; the later one is taken."""

    image: str
    earlier: str
    earlier_instances: int
    taken: str
    taken_instances: int


@dataclass
class Merged:
    """The labels of all files and their sources.

    images     by key: the record with its file name below the images' folder
    labels     by key: human annotations, still without ids
    sources    by key: the file that has them
    untouched  by file: the number of images left out because all annotations still have a score
    """

    categories: list[Record]
    images: dict[str, Record] = field(default_factory=dict)
    labels: dict[str, list[Record]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    untouched: dict[str, int] = field(default_factory=dict)

    def coco(self) -> Coco:
        """Return all as one Coco; images keep their ids if these are free."""
        images, annotations, numbers = [], [], count(1)
        used: set[int] = set()
        reserved = {image["id"] for image in self.images.values()}
        free = (n for n in count(1) if n not in reserved)
        for key, image in self.images.items():
            number = next(free) if image["id"] in used else image["id"]
            used.add(number)
            images.append({**image, "id": number})
            for label in self.labels[key]:
                annotations.append({"id": next(numbers), "image_id": number, **label})
        return Coco(images, annotations, self.categories)

    def add(self, key: str, image: Record, labels: list[Record], source: str) -> None:
        """Take the `labels` of an image from the file `source`, replacing earlier ones."""
        earlier = self.images.setdefault(key, image)
        sizes = [(each.get("width"), each.get("height")) for each in (earlier, image)]
        if sizes[0] != sizes[1]:
            raise DataError(
                f"{source}: {image['file_name']} is {sizes[1]}, in {self.sources[key]} it is "
                f"{sizes[0]}: two images with one name? Name their folders with --images"
            )
        if key in self.labels and not _agree(self.labels[key], labels):
            before = earlier["file_name"], self.sources[key], len(self.labels[key])
            self.conflicts.append(Conflict(*before, source, len(labels)))
        self.labels[key], self.sources[key] = labels, source


def merge(files: Mapping[str, Coco], naming: Naming, scored: bool) -> Merged:
    """Merge the first of `files`, content by name, with those that correct or extend its labels.

    An image counts as labelled if a file lists it, unless all its annotations still have a `score`:
    those are generated and untouched, unless `scored` says that they were checked. An image without
    annotations has no objects. Categories and keypoints are matched by name. Raises DataError,
    naming the file, if the first lacks these or an image is listed twice or with another size.
    """
    base = next(iter(files.values()))
    merged = Merged(base.categories)
    for name, coco in files.items():
        translate = _translation(name, coco, base.categories)
        ids, keys = {image["id"] for image in coco.images}, set[str]()
        if lost := [a["id"] for a in coco.annotations if a.get("image_id") not in ids]:
            raise DataError(f"{name}: annotation {lost[0]} names an image it does not list")
        grouped = coco.by_image()
        merged.untouched[name] = 0
        for image in coco.images:
            key, file_name = naming(image["file_name"], coco is base)
            if key in keys:
                raise DataError(
                    f"{name}: expected every image once, found {file_name} twice; if folders "
                    "tell images apart, say which with --images"
                )
            keys.add(key)
            labels = grouped[image["id"]]
            if labels and not scored and all("score" in label for label in labels):
                merged.untouched[name] += 1
                continue
            merged.add(key, {**image, "file_name": file_name}, [*map(translate, labels)], name)
    return merged


def _agree(labels: Sequence[Record], others: Sequence[Record]) -> bool:
    """Return whether both have the same labels, up to order and rounding."""
    unmatched = [*map(_numbers, others)]
    for numbers in map(_numbers, labels):
        comparable = (other for other in unmatched if len(other) == len(numbers))
        close = (o for o in comparable if np.allclose(numbers, o, rtol=0, atol=0.5))  # tools round
        if (match := next(close, None)) is None:
            return False
        unmatched.remove(match)
    return not unmatched


def _numbers(label: Record) -> list[float]:
    return [label["category_id"], *label.get("bbox", ()), *(label.get("keypoints") or ())]


def _translation(name: str, coco: Coco, categories: Sequence[Record]) -> Callable[[Record], Record]:
    """Return the function that turns an annotation of `coco` into one of `categories`."""
    known = {category["name"]: category for category in categories}
    given = {category["id"]: category for category in coco.categories}
    used = {annotation.get("category_id") for annotation in coco.annotations}
    if unknown := [given[i]["name"] for i in used if given[i]["name"] not in known]:
        raise DataError(
            f"{name}: expected the categories of the first file ({', '.join(known)}), found "
            f"{', '.join(unknown)}; give them these names in the tool"
        )
    targets = {i: known[given[i]["name"]] for i in used}
    orders = {i: _keypoint_order(name, given[i], targets[i]) for i in used}

    def translate(label: Record) -> Record:
        category = label["category_id"]
        translated = {key: value for key, value in label.items() if key not in _RENEWED}
        points = label.get("keypoints")
        if points and (order := orders[category]):
            translated["keypoints"] = [v for i in order for v in points[3 * i : 3 * i + 3]]
        return {"category_id": targets[category]["id"], "iscrowd": 0, **translated}

    return translate


def _keypoint_order(name: str, given: Record, target: Record) -> list[int]:
    """Return the indices of the keypoints of `target` in `given`, [] if the order is the same."""
    names, wanted = given.get("keypoints") or [], target.get("keypoints") or []
    if not names or names == wanted:
        return []
    if sorted(names) != sorted(wanted):
        raise DataError(
            f"{name}: category {target['name']!r}: expected the keypoints {wanted}, found {names}"
        )
    return [names.index(point) for point in wanted]
