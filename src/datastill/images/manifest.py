"""What an image set holds on disk: every file looked at once, and a line kept of each."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from datastill.coco.format import Coco, Record, write_coco
from datastill.errors import DataError
from datastill.images.load import Refusal, decode_image, image_path
from datastill.images.perceptual_hash import perceptual_hash
from datastill.images.pools import Threads
from datastill.io import write_text

COLUMNS = ("file_name", "size", "digest", "likeness", "brightness")


def examine(
    root: Path, images: Sequence[Record], advance: Callable[[int], None]
) -> tuple[pd.DataFrame, list[Refusal]]:
    """Open every image and return the manifest of those that are whole, and the others.

    The manifest has a line per image: file_name, size in bytes, SHA-256 digest, likeness and mean
    brightness (0 to 255). `advance` hears of every image. Raises DataError where a file name leaves
    `root`.
    """
    lines: list[Record] = []
    refused: list[Refusal] = []
    with Threads() as pool:
        for found in pool.map(partial(_examine_one, root), images):
            (refused if isinstance(found, Refusal) else lines).append(found)  # type: ignore[arg-type]
            advance(1)
    return pd.DataFrame(lines, columns=list(COLUMNS)), refused


def _examine_one(root: Path, image: Record) -> Record | Refusal:
    path = image_path(root, image["file_name"])
    try:
        content = path.read_bytes()
        pixels = decode_image(content, (image["width"], image["height"]))
    except OSError as error:
        return Refusal(image["file_name"], f"no readable file: {error.strerror}")
    except DataError as error:
        return Refusal(image["file_name"], str(error))
    return {
        "file_name": image["file_name"],
        "size": len(content),
        "digest": hashlib.sha256(content).hexdigest(),
        "likeness": perceptual_hash(pixels.permute(1, 2, 0).numpy()),
        "brightness": round(float(pixels.numpy().mean()), 1),
    }


def read_manifest(path: Path) -> pd.DataFrame:
    """Return the manifest at `path`, indexed by file name; raises DataError where it is absent."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; the data stage writes it")
    return pd.read_csv(path, index_col="file_name", dtype={"digest": str, "likeness": str})


def read_column(path: Path, what: str) -> dict[str, str]:
    """Return a column of the manifest at `path` by file name, as it stands there.

    Line by line: pandas takes half a kilobyte more an image. Raises DataError where there is no
    manifest.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {line["file_name"]: line[what] for line in csv.DictReader(file)}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; the data stage writes it") from None


def write_sets(
    folder: Path,
    sets: Mapping[str, Coco],
    manifest: pd.DataFrame,
    refused: Iterable[tuple[str, Refusal]] = (),
) -> None:
    """Write <name>.json for every set, manifest.csv, and refused.csv: what they go on without.

    `refused` are (name of the set, refusal).
    """
    for name, coco in sets.items():
        write_coco(folder / f"{name}.json", coco)
    write_text(folder / "manifest.csv", manifest.to_csv(index=False))
    lines = [(name, refusal.file_name, refusal.reason) for name, refusal in refused]
    table = pd.DataFrame(lines, columns=["set", "file_name", "reason"])
    write_text(folder / "refused.csv", table.to_csv(index=False))
