"""Does val meet what a model learns from? By id, by bytes and by what the pictures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from datastill.data.coco import Coco, Record
from datastill.data.likeness import alike
from datastill.data.sets import plain_name


@dataclass(frozen=True)
class Leak:
    """An image of another set that is also in val; `reason` says which, and how one knows."""

    set: str
    file_name: str
    reason: str


def find_leaks(val: Coco, others: Mapping[str, Coco], manifest: pd.DataFrame | None) -> list[Leak]:
    """Return the images of `others` that are in `val` too, each once, by the strongest evidence.

    `manifest` has `digest` and `likeness` by `file_name`; files that it lacks, all where it is
    None, are compared by id alone. Near-duplicates count, mirrored or not: re-encoded, resized, a
    little cropped.
    """
    leaks: dict[str, Leak] = {}
    for name, coco in others.items():
        found = {} if manifest is None else _by_content(val, coco, manifest.set_index("file_name"))
        for file_name, reason in (found | _by_id(val, coco.images)).items():
            leaks.setdefault(file_name, Leak(name, file_name, reason))
    return list(leaks.values())


def _by_content(val: Coco, other: Coco, known: pd.DataFrame) -> dict[str, str]:
    vals, others = (
        [image["file_name"] for image in coco.images if image["file_name"] in known.index]
        for coco in (val, other)
    )
    alikes = _by_likeness(vals, others, known["likeness"])
    return alikes | _by_bytes(vals, others, known["digest"])


def _by_id(val: Coco, images: list[Record]) -> dict[str, str]:
    """Files of one's own may be numbered from 1 in every set, so the name must agree as well."""
    theirs = {_identity(image): image["file_name"] for image in val.images}
    return {
        image["file_name"]: f"is {theirs[_identity(image)]} by its id"
        for image in images
        if _identity(image) in theirs
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
    pairs = alike(hashes[vals].tolist(), hashes[others].tolist())
    return {
        others[other]: f"shows the same as {vals[mine]} ({bits} bits of its hash differ)"
        for mine, other, bits in pairs
    }
