"""Classes and keypoints of a YOLO data set: its `data.yaml`, or a list of classes."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as excerpt
from typing import Any

import yaml

from datastill.coco.format import PERSON_KEYPOINTS, Record
from datastill.coco.skeleton import infer_flip_indices
from datastill.errors import DataError
from datastill.io import check_extent, check_file

_MOST_KEYPOINTS = 10_000
CLASS_LISTS = ("classes.txt", "obj.names")  # of LabelImg and Label Studio, of CVAT


@dataclass(frozen=True)
class YoloConfig:
    """A data set's classes, its splits and, for poses, k keypoints; k = 0 for boxes.

    base        key `path`, the folder of the splits as the file has it
    splits      the folders, or lists, of images of train and of val as the file has them
    numbers     of each keypoint in a label: 2 (x, y) or 3 (x, y, v)
    flip_pairs  names of keypoints that are each other's mirror image; None if it does not say
    """

    path: Path
    classes: dict[int, str]
    base: str = "."
    splits: tuple[str, ...] = ()
    keypoints: tuple[str, ...] = ()
    numbers: int = 3
    flip_pairs: list[list[str]] | None = None

    def category(self, number: int) -> Record:
        """Return the COCO category of a class; its id is the class + 1."""
        record: Record = {"id": number + 1, "name": self.classes[number]}
        if self.keypoints:
            record["keypoints"] = [*self.keypoints]
        if self.flip_pairs is not None:
            record["flip_pairs"] = self.flip_pairs
        return record


def find_config(path: Path) -> YoloConfig:
    """Read `path` or, if it is a folder, the configuration in it or in the three above it.

    Raises DataError if there is none or it is malformed.
    """
    if not path.is_dir():
        return _read_config(path)
    above = path.absolute()
    for folder in (path, *[*above.parents][:3]):
        yamls = [file for file in sorted(folder.glob("*.y*ml")) if "names" in _read_yaml(file)]
        texts = [folder / name for name in CLASS_LISTS if (folder / name).is_file()]
        for file in (*yamls, *texts):
            return _read_config(file)
    raise DataError(
        f"{path}: expected the names of its classes in data.yaml (names: [...]) or classes.txt "
        "(one a line), in this folder or above it, found neither; add one of them"
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        check_file(path)
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        check_extent(content)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; correct its name or fetch it") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise DataError(f"{path}: expected YAML of a YOLO data set: {error}") from None
    return content if isinstance(content, dict) else {}


def _read_config(path: Path) -> YoloConfig:
    if path.name in CLASS_LISTS:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        names = dict(enumerate(line.strip() for line in lines if line.strip()))
        return YoloConfig(path, _distinct(path, names))
    content = _read_yaml(path)
    if "names" not in content:
        keys = ", ".join(map(str, [*content][:5])) or "none"
        raise DataError(
            f"{path}: expected a YOLO data.yaml with the names of its classes (names: [...]), "
            f"found the keys {keys}"
        )
    names = content["names"]
    classes = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(classes, dict) or not classes or not all(map(_is_class, classes)):
        raise DataError(f"{path}: names: expected a list of classes, found {excerpt(names)}")
    classes = _distinct(path, {number: str(name) for number, name in classes.items()})
    given = [content[key] for key in ("train", "val") if content.get(key)]
    splits = [str(s) for split in given for s in (split if isinstance(split, list) else [split])]
    config = (path, classes, str(content.get("path") or "."), tuple(splits))
    return YoloConfig(*config, *(_pose(path, content) if "kpt_shape" in content else ()))


def _distinct(path: Path, classes: dict[int, str]) -> dict[int, str]:
    """Return `classes`; raises DataError if two of them have one name."""
    if repeated := [name for name, count in Counter(classes.values()).items() if count > 1]:
        raise DataError(
            f"{path}: expected a name of its own for every class, found {repeated[0]!r} "
            f"{[*classes.values()].count(repeated[0])} times; rename or merge these classes"
        )
    return classes


def _is_class(number: Any) -> bool:
    return isinstance(number, int) and abs(number) < 2**31


def _pose(
    path: Path, content: dict[str, Any]
) -> tuple[tuple[str, ...], int, list[list[str]] | None]:
    """Return the names of keypoints, the numbers that each has, and the mirror pairs."""
    shape, flips = content["kpt_shape"], content.get("flip_idx")
    whole = isinstance(shape, list) and all(isinstance(number, int) for number in shape)
    if (
        not whole
        or len(shape) != 2
        or not 0 < shape[0] <= _MOST_KEYPOINTS
        or shape[1] not in {2, 3}
    ):
        raise DataError(f"{path}: kpt_shape: expected [keypoints, 2 or 3], found {excerpt(shape)}")
    numbers = list(range(shape[0]))
    permuted = isinstance(flips, list) and sorted(map(repr, flips)) == sorted(map(repr, numbers))
    if flips is not None and not (permuted and [flips[i] for i in flips] == numbers):
        raise DataError(
            f"{path}: flip_idx: expected the keypoints 0 to {shape[0] - 1} as a mirror image has "
            f"them, each the partner of its partner, found {excerpt(flips)}"
        )
    nodes = content.get("node_names")  # of sleap-io, which knows no mirror partners
    flips = None if nodes and flips == numbers else flips
    names = _keypoint_names(content.get("kpt_names", nodes), flips, shape[0])
    pairs = None if flips is None else [[names[i], names[j]] for i, j in enumerate(flips) if i < j]
    return names, shape[1], pairs


def _keypoint_names(given: Any, flips: list[int] | None, count: int) -> tuple[str, ...]:
    """Return the names `given` for a class, or COCO's if the mirror pairs are COCO's."""
    listed = next(iter(given.values()), None) if isinstance(given, dict) else given
    if isinstance(listed, list) and len(set(map(str, listed))) == len(listed) == count:
        return tuple(map(str, listed))
    if flips == [*infer_flip_indices(PERSON_KEYPOINTS)]:
        return PERSON_KEYPOINTS
    return tuple(f"keypoint_{number}" for number in range(1, count + 1))
