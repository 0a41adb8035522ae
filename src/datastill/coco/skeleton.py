"""Skeleton of a category: names, mirror partners, limbs and OKS sigmas of its keypoints."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pycocotools.cocoeval import Params

from datastill.coco.format import PERSON_KEYPOINTS, Record
from datastill.errors import DataError

COCO_SIGMAS = tuple(Params("keypoints").kpt_oks_sigmas.tolist())
CONSTANT_SIGMA = median(COCO_SIGMAS)

_SIDES = re.compile("left|right", re.IGNORECASE)
_INITIALS = re.compile("(?<![A-Za-z0-9])[LRlr](?![A-Za-z0-9])")  # L_Eye, hinge_r
_OPPOSITE = {"left": "right", "right": "left", "l": "r", "r": "l"}


@dataclass(frozen=True)
class Skeleton:
    """The k keypoints of a category; k = 0 for boxes.

    names         (k,)
    flip_indices  (k,)  the keypoint that each becomes in a mirror image
    left          those that are drawn as the left one of their pair
    edges         limbs as 1-based pairs, as COCO writes them
    sigmas        (k,)  OKS's
    sigmas_from         "given" by the data file, "coco"'s own, or one "constant" for all
    """

    names: tuple[str, ...] = ()
    flip_indices: tuple[int, ...] = ()
    left: frozenset[int] = frozenset()
    edges: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()
    sigmas_from: str = "constant"

    def __len__(self) -> int:
        return len(self.names)

    def oks(self) -> dict[str, Any]:
        """Return the parameters of OKS, for records."""
        return {"sigmas": list(self.sigmas), "from": self.sigmas_from}


NO_SKELETON = Skeleton()


def build_skeleton(categories: Sequence[Record]) -> Skeleton:
    """Return the skeleton of the one category that has keypoints, NO_SKELETON if none has.

    Mirror partners are the category's `flip_pairs`, [[left, right], ...] by name, or else follow
    from the names (`infer_flip_indices`). Sigmas are the category's `sigmas`, or else COCO's if
    the names are COCO's, or else COCO's median for every keypoint: sigma measures how far several
    annotators of one image disagree, which one annotation per object cannot show, and the spread of
    keypoints over a body is not a substitute.
    Raises DataError, naming the category, if several have keypoints or one is malformed.
    """
    if (category := keypoint_category(categories)) is None:
        return NO_SKELETON
    try:
        names = _names(category["keypoints"])
        flip_indices, left = _mirror(names, category.get("flip_pairs"))
        sigmas, source = _sigmas(names, category.get("sigmas"))
        edges = _edges(category.get("skeleton") or [], len(names))
    except DataError as error:
        raise DataError(f"category {category.get('name')!r}: {error}") from None
    return Skeleton(names, flip_indices, left, edges, sigmas, source)


def keypoint_category(categories: Sequence[Record]) -> Record | None:
    """Return the one category with keypoints, None if none has; raises DataError for several."""
    named = [category for category in categories if category.get("keypoints")]
    if len(named) > 1:
        names = ", ".join(str(category.get("name")) for category in named)
        raise DataError(
            f"expected one category with keypoints, found {names}: one model learns one skeleton; "
            "leave `keypoints` to one of them, or make a file and a profile for each"
        )
    return named[0] if named else None


def _names(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(name, str) for name in given):
        raise DataError(f"expected keypoints as a list of names, found {given!r}")
    if repeated := {name for name in given if given.count(name) > 1}:
        raise DataError(f"keypoint {min(repeated)!r} is named twice; give each its own name")
    return tuple(given)


def infer_flip_indices(names: Sequence[str]) -> tuple[int, ...]:
    """Return for every keypoint the one it becomes in a mirror image, by the side in its name.

    The side is `left` or `right` in any case, or else a separate `l` or `r` (`L_Eye`) that has a
    partner. Raises DataError if `left` or `right` has none.
    """
    index = {name: i for i, name in enumerate(names)}
    flip_indices = []
    for name in names:
        partner = _SIDES.sub(_opposite, name)
        if partner not in index:
            raise DataError(f"keypoint {name!r} has no mirror partner {partner!r} in {list(names)}")
        if partner == name:
            partner = _INITIALS.sub(_opposite, name)
        flip_indices.append(index.get(partner, index[name]))
    return tuple(flip_indices)


def _opposite(side: re.Match[str]) -> str:
    """Return the other side, in the same case."""
    other = _OPPOSITE[side[0].lower()]
    if side[0].isupper():
        return other.upper()
    return other.capitalize() if side[0][0].isupper() else other


def _mirror(names: tuple[str, ...], pairs: Any) -> tuple[tuple[int, ...], frozenset[int]]:
    """Return the flip indices and the left keypoints."""
    if pairs is None:
        try:
            inferred = infer_flip_indices(names)
        except DataError as error:
            advice = 'rename it, or give the category its "flip_pairs": [["left", "right"], ...]'
            raise DataError(f"{error}; {advice}") from None
        sides = (_SIDES.search(name) or _INITIALS.search(name) for name in names)
        lefts = [side is not None and side[0][0] in "lL" for side in sides]
        return inferred, frozenset(i for i, j in enumerate(inferred) if i != j and lefts[i])
    flip_indices, left = list(range(len(names))), set()
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        if not (isinstance(pair, list) and len(pair) == 2 and all(end in names for end in pair)):
            raise DataError(f"flip_pairs: expected pairs of keypoints of {[*names]}, found {pair}")
        first, second = map(names.index, pair)
        if first == second or (flip_indices[first], flip_indices[second]) != (first, second):
            raise DataError(f"flip_pairs: expected every keypoint in one pair, {pair} repeats one")
        flip_indices[first], flip_indices[second] = second, first
        left.add(first)
    return tuple(flip_indices), frozenset(left)


def _sigmas(names: tuple[str, ...], given: Any) -> tuple[tuple[float, ...], str]:
    if given is None and names == PERSON_KEYPOINTS:
        return COCO_SIGMAS, "coco"
    if given is None:
        return (CONSTANT_SIGMA,) * len(names), "constant"
    numbers = isinstance(given, list) and all(isinstance(value, int | float) for value in given)
    if not numbers or len(given) != len(names) or not all(0 < value < math.inf for value in given):
        raise DataError(f"sigmas: expected {len(names)} numbers above 0, found {given}")
    return tuple(map(float, given)), "given"


def _edges(given: Any, keypoints: int) -> tuple[tuple[int, int], ...]:
    limbs = given if isinstance(given, list | tuple) else [given]
    edges = [tuple(edge) if isinstance(edge, list | tuple) else (edge,) for edge in limbs]
    for edge in edges:
        if len(edge) != 2 or not all(end in range(1, keypoints + 1) for end in edge):
            raise DataError(f"skeleton: expected pairs from 1 to {keypoints}, found {[*edge]}")
    return tuple((first, second) for first, second in edges)
