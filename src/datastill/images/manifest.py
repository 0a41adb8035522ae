"""Manifest of an image set: size, digest, perceptual hash and brightness of every file."""

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from datastill.coco.format import Coco, Record, write_coco
from datastill.coco.image_header import DEFAULT_LIMIT, PixelLimit
from datastill.errors import DataError
from datastill.images.load import Refusal, decode_image, image_bytes, image_path
from datastill.images.perceptual_hash import perceptual_hash
from datastill.images.pools import Threads
from datastill.io import write_text

COLUMNS = ("file_name", "size", "digest", "likeness", "brightness")


def examine(
    root: Path,
    images: Sequence[Record],
    advance: Callable[[int], None],
    limit: PixelLimit = DEFAULT_LIMIT,
) -> tuple[pd.DataFrame, list[Refusal]]:
    """Open every image; return the manifest of the readable ones, and the others.

    The manifest has a row per image: file_name, size in bytes, SHA-256 digest, perceptual hash
    (likeness) and mean brightness (0 to 255). Images of more pixels than `limit` are among the
    others. `advance` is called for every image. Raises DataError if a file name is not below
    `root`.
    """
    rows: list[Record] = []
    refused: list[Refusal] = []
    with Threads() as pool:
        for result in pool.map(partial(_examine_one, root, limit), images):
            (refused if isinstance(result, Refusal) else rows).append(result)  # type: ignore[arg-type]
            advance(1)
    return pd.DataFrame(rows, columns=list(COLUMNS)), refused


def _examine_one(root: Path, limit: PixelLimit, image: Record) -> Record | Refusal:
    path = image_path(root, image["file_name"])
    try:
        content = image_bytes(path)
        pixels = decode_image(content, (image["width"], image["height"]), limit)
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


class Column(Mapping[str, str]):
    """Text by file name, in the manifest's order: arrays, for a third of what a dict takes."""

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        remaining, nothing = iter(rows), np.empty(0, "S1")
        names, values = [nothing], [nothing]
        while batch := [*islice(remaining, 1000)]:
            for parts, texts in zip((names, values), zip(*batch, strict=True), strict=True):
                parts.append(np.char.encode(texts, "utf-8"))
        self._names, self._values = np.concatenate(names), np.concatenate(values)
        self._order = np.argsort(self._names, kind="stable")

    def __getitem__(self, name: str) -> str:
        key = name.encode()
        place = np.searchsorted(self._names, key, "right", self._order) - 1  # of equals the last
        if place < 0 or self._names[self._order[place]] != key:
            raise KeyError(name)
        return self._values[self._order[place]].decode()

    def __iter__(self) -> Iterator[str]:
        return (name.decode() for name in self._names)

    def __len__(self) -> int:
        return len(self._names)


def read_column(path: Path, column: str) -> Column:
    """Return a manifest's column; raises DataError if `path` is absent or damaged.

    Row by row: pandas takes half a kilobyte more per image.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            values = Column(_present(row, column) for row in table)
            if column not in (table.fieldnames or ()):
                raise KeyError(column)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; the data stage writes it") from None
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path}: expected the table that stage `data` writes; cannot read {error}; run that "
            "stage again"
        ) from None
    return values


def _present(row: Mapping[str, str], column: str) -> tuple[str, str]:
    """Return a file name and its value in `column`; raises ValueError if either is empty."""
    name, value = row["file_name"], row[column]
    if not name or not value:
        raise ValueError(f"{column} of {name!r}")
    return name, value


def write_sets(
    folder: Path,
    sets: Mapping[str, Coco],
    manifest: pd.DataFrame,
    refused: Iterable[tuple[str, Refusal]] = (),
) -> None:
    """Write <name>.json for every set, manifest.csv, and refused.csv: sets and their refusals.

    A set's `info` holds a digest of all its pixels, so that what depends on the set depends on
    them too.
    """
    digests = dict(zip(manifest["file_name"], manifest["digest"], strict=True))
    for name, coco in sets.items():
        pixels = "".join(digests[image["file_name"]] for image in coco.images)
        info = {"images_sha256": hashlib.sha256(pixels.encode()).hexdigest()}
        write_coco(folder / f"{name}.json", coco, info=info)
    write_text(folder / "manifest.csv", manifest.to_csv(index=False))
    rows = [(name, refusal.file_name, refusal.reason) for name, refusal in refused]
    table = pd.DataFrame(rows, columns=["set", "file_name", "reason"])
    write_text(folder / "refused.csv", table.to_csv(index=False))
