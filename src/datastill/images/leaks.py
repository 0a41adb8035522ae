"""Leaks: images of val that are also in a training set."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from datastill.coco.format import Coco
from datastill.images.folders import bare_name
from datastill.images.perceptual_hash import near_duplicates


@dataclass(frozen=True)
class Leak:
    """An image of another set that is also in val; `reason` names it there, and the evidence.

    similar  whether the two only look alike; otherwise they are one image
    """

    set: str
    file_name: str
    reason: str
    similar: bool = False


def find_leaks(val: Coco, others: Mapping[str, Coco], manifest: pd.DataFrame | None) -> list[Leak]:
    """Return the images of `others` that are also in `val`, each once, by the strongest evidence.

    `manifest` has `digest` and `likeness` by `file_name`; for files that it lacks, or all if it is
    None, ids and names are compared. Near-duplicates (re-encoded, resized, slightly cropped)
    count, mirrored or not.
    """
    leaks: dict[str, Leak] = {}
    known = manifest.set_index("file_name") if manifest is not None else pd.DataFrame()
    for name, coco in others.items():
        similar, same = _by_content(val, coco, known) if len(known) else ({}, {})
        same |= _by_id(val, coco, set(known.index))
        for file_name, reason in (similar | same).items():
            leaks.setdefault(file_name, Leak(name, file_name, reason, file_name not in same))
    return list(leaks.values())


def _by_content(
    val: Coco, other: Coco, known: pd.DataFrame
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the reasons by file name: of near-duplicates, and of equal bytes."""
    vals, others = (
        [image["file_name"] for image in coco.images if image["file_name"] in known.index]
        for coco in (val, other)
    )
    hashes, digests = known["likeness"], known["digest"]
    pairs = near_duplicates(hashes[vals].tolist(), hashes[others].tolist())
    similar = {
        others[j]: f"shows the same as {vals[i]} ({bits} bits of its hash differ)"
        for i, j, bits in pairs
    }
    originals = dict(zip(digests[vals], vals, strict=True))
    same = {
        name: f"has the very bytes of {originals[digest]}"
        for name, digest in zip(others, digests[others], strict=True)
        if digest in originals
    }
    return similar, same


def _by_id(val: Coco, other: Coco, known: set[str]) -> dict[str, str]:
    """Treat images with the same id and name as one, unless the content of both is `known`.

    Frames of two videos may both be numbered from 1 and named after their numbers.
    """
    vals, others = (
        {(i["id"], bare_name(i["file_name"])): i["file_name"] for i in coco.images}
        for coco in (val, other)
    )
    return {
        name: f"is {vals[identity]} by its id"
        for identity, name in others.items()
        if identity in vals and not {name, vals[identity]} <= known
    }
