"""Does val meet what a model learns from? By bytes, by what the pictures show or else by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from datastill.coco.format import Coco, Record
from datastill.images.folders import plain_name
from datastill.images.perceptual_hash import near_duplicates


@dataclass(frozen=True)
class Leak:
    """An image of another set that is also in val; `reason` says which, and how one knows."""

    set: str
    file_name: str
    reason: str


def find_leaks(val: Coco, others: Mapping[str, Coco], manifest: pd.DataFrame | None) -> list[Leak]:
    """Return the images of `others` that are in `val` too, each once, by the strongest evidence.

    `manifest` has `digest` and `likeness` by `file_name`; of files that it lacks, all where it is
    None, ids and names are compared instead. Near-duplicates count, mirrored or not: re-encoded,
    resized, a little cropped.
    """
    leaks: dict[str, Leak] = {}
    known = manifest.set_index("file_name") if manifest is not None else pd.DataFrame()
    for name, coco in others.items():
        found = _by_content(val, coco, known) if len(known) else {}
        for file_name, reason in (found | _by_id(val, coco, set(known.index))).items():
            leaks.setdefault(file_name, Leak(name, file_name, reason))
    return list(leaks.values())


def _by_content(val: Coco, other: Coco, known: pd.DataFrame) -> dict[str, str]:
    vals, others = (
        [image["file_name"] for image in coco.images if image["file_name"] in known.index]
        for coco in (val, other)
    )
    alikes = _by_likeness(vals, others, known["likeness"])
    return alikes | _by_bytes(vals, others, known["digest"])


def _by_id(val: Coco, other: Coco, seen: set[str]) -> dict[str, str]:
    """Two of one id and name are one image, unless both were `seen`: then their content tells.

    Frames of two videos may both be numbered from 1 and named after their numbers.
    """
    theirs = {_identity(image): image["file_name"] for image in val.images}
    same = [(image["file_name"], theirs.get(_identity(image))) for image in other.images]
    return {
        name: f"is {other} by its id" for name, other in same if other and not {name, other} <= seen
    }


def _identity(image: Record) -> tuple[int, str]:
    return image["id"], plain_name(image["file_name"])


def _by_bytes(vals: list[str], others: list[str], digests: pd.Series[str]) -> dict[str, str]:
    theirs = dict(zip(digests[vals], vals, strict=True))
    return {
        name: f"has the very bytes of {theirs[digest]}"
        for name, digest in zip(others, digests[others], strict=True)
        if digest in theirs
    }


def _by_likeness(vals: list[str], others: list[str], hashes: pd.Series[str]) -> dict[str, str]:
    pairs = near_duplicates(hashes[vals].tolist(), hashes[others].tolist())
    found = {other: (mine, bits) for mine, other, bits in pairs}
    return {
        others[other]: f"shows the same as {vals[mine]} ({bits} bits of its hash differ)"
        for other, (mine, bits) in found.items()
    }
