"""Command `merge`: labels corrected in a tool become, with those there are, labels to train on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from datastill.coco.format import write_coco
from datastill.coco.merge import Conflict, Merged, Naming, merge
from datastill.coco.normalize import read_foreign
from datastill.commands.own_data.inputs import usable_labels
from datastill.errors import DataError, ParamsError
from datastill.images.folders import Folder
from datastill.io import write_text

_SHOWN = 5  # conflicts


def run(
    base: Path, corrected: Sequence[Path], to: Path, images: Sequence[Path], scored: bool
) -> str:
    """Write the merged labels to `to`, conflicts as CSV beside it; return what came together.

    `images` are the folders of all images, base's first; without them images are told apart by
    their file names alone. Raises DataError for files that cannot be merged, ParamsError where
    `to` is there already.
    """
    if to.exists():
        raise ParamsError(f"{to} is there already; choose another name or remove it")
    paths = [base, *corrected]
    if len(set(paths)) < len(paths):
        raise ParamsError("expected every file once, found one of them twice")
    contents = {str(path): read_foreign(path) for path in paths}
    merged = merge(contents, _by_file(images) if images else _by_name, scored)
    coco = merged.coco()
    if not coco.annotations:
        raise DataError(f"{to}: expected labels, found none but untouched generated ones")
    usable_labels(to, coco, "keypoints" if coco.keypoint_names() else "boxes")
    table = to.with_suffix(".conflicts.csv")
    if merged.conflicts:
        lines = [asdict(conflict) for conflict in merged.conflicts]
        write_text(table, pd.DataFrame(lines).to_csv(index=False))
    write_coco(to, coco)
    return "\n".join([*_story(merged), *_listed(merged.conflicts, table), *_next(to, images)])


def _by_name(file_name: str, _: bool) -> tuple[str, str]:
    """Tell an image by its name without folders, which tools change."""
    return file_name.replace("\\", "/").rpartition("/")[2], file_name


def _by_file(folders: Sequence[Path]) -> Naming:
    """Tell an image by the file in one of `folders`; its name is that below all of them.

    Tools put folders before names or take them away: the longest end of a name that is a file
    counts, one behind its folder's own name first. Base's images lie in the first folder.
    """
    listings = {folder: Folder(folder, folder.name).listing() for folder in folders}
    top = _top(folders)

    def find(file_name: str, is_base: bool) -> tuple[str, str]:
        parts = file_name.replace("\\", "/").split("/")
        for start in range(len(parts)):
            end, before = "/".join(parts[start:]), parts[start - 1] if start else ""
            holding = [folder for folder in folders if end in listings[folder]]
            named = [folder for folder in holding if folder.resolve().name == before]
            there = named or (holding[:1] if is_base else holding)
            if len(there) > 1:
                places = " and ".join(map(str, there))
                raise DataError(f"{file_name}: is in {places}; put the folder's name before it")
            if there:
                path = there[0].absolute() / end
                return str(path.resolve()), os.path.relpath(path, top)
        places = ", ".join(map(str, folders))
        raise DataError(f"{file_name}: no such image in {places}; give its folder with --images")

    return find


def _top(folders: Sequence[Path]) -> str:
    return os.path.commonpath([os.path.normpath(folder.absolute()) for folder in folders])


def _story(merged: Merged) -> list[str]:
    sources = pd.Series(merged.sources).value_counts()
    lines = [f"{name}: {sources.get(name, 0):,} images" for name in merged.untouched]
    lines += [
        f"{name}: {number:,} images are left out: all on them still has a score, so nobody saw to "
        "it; --scored takes them"
        for name, number in merged.untouched.items()
        if number
    ]
    empty = sum(not labels for labels in merged.labels.values())
    total = sum(len(labels) for labels in merged.labels.values())
    return [
        *lines,
        f"in all {len(merged.images):,} images, {empty:,} with nothing on them, {total:,} labels",
    ]


def _listed(conflicts: Sequence[Conflict], table: Path) -> list[str]:
    if not conflicts:
        return ["no file contradicts another"]
    shown = [
        f"  {c.image}: {c.earlier_instances} in {c.earlier}, {c.taken_instances} in {c.taken}"
        for c in conflicts[:_SHOWN]
    ]
    head = f"{len(conflicts):,} images are labelled differently; the later file is taken"
    return [head, *shown, f"all are in {table}"]


def _next(to: Path, images: Sequence[Path]) -> list[str]:
    folder = _top(images) if images else "FOLDER"
    if images and Path(folder).is_relative_to(Path.cwd()):
        folder = os.path.relpath(folder)
    return ["", "next", f"  datastill new NAME --labelled {to} --images {folder} ..."]
