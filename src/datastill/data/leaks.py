"""Does val meet what a model learns from? By id, by bytes and by what the pictures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from datastill.data.coco import Coco, Record
from datastill.data.likeness import alike


@dataclass(frozen=True)
class Leak:
    """An image of another set that is also in val; `reason` says which, and how one knows."""

    set: str
    file_name: str
    reason: str


def find_leaks(val: Coco, others: Mapping[str, Coco], manifest: pd.DataFrame | None) -> list[Leak]:
    """Return the images of `others` that are in `val` too, each once, by the strongest evidence.

    `manifest` has a line per file, with `digest` and `likeness`; None compares ids alone.
    Near-duplicates count, mirrored or not: re-encoded, resized, a little cropped.
    """
    known = None if manifest is None else manifest.set_index("file_name")
    leaks: dict[str, Leak] = {}
    for name, coco in others.items():
        files = [image["file_name"] for image in coco.images]
        found = {} if known is None else _by_likeness(val, files, known["likeness"])
        found |= {} if known is None else _by_bytes(val, files, known["digest"])
        for file_name, reason in (found | _by_id(val, coco.images)).items():
            leaks.setdefault(file_name, Leak(name, file_name, reason))
    return list(leaks.values())


def _by_id(val: Coco, images: list[Record]) -> dict[str, str]:
    """Files of one's own may be numbered from 1 in every set, so the name must agree as well."""
    theirs = {_identity(image): image["file_name"] for image in val.images}
    return {
        image["file_name"]: f"is {theirs[_identity(image)]} by its id"
        for image in images
        if _identity(image) in theirs
    }


def _identity(image: Record) -> tuple[int, str]:
    return image["id"], PurePosixPath(image["file_name"]).name.rpartition("_")[2]


def _by_bytes(val: Coco, files: list[str], digests: pd.Series[str]) -> dict[str, str]:
    theirs = {digests[image["file_name"]]: image["file_name"] for image in val.images}
    return {
        name: f"has the very bytes of {theirs[digest]}"
        for name, digest in zip(files, digests[files], strict=True)
        if digest in theirs
    }


def _by_likeness(val: Coco, files: list[str], hashes: pd.Series[str]) -> dict[str, str]:
    theirs = [image["file_name"] for image in val.images]
    pairs = alike(hashes[theirs].tolist(), hashes[files].tolist())
    return {
        files[other]: f"shows the same as {theirs[mine]} ({bits} bits of its hash differ)"
        for mine, other, bits in pairs
    }
