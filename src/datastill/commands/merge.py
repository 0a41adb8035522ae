"""Command `merge`: generated annotations, corrected in a tool, merged into existing labels."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from datastill.coco.format import write_coco
from datastill.coco.merge import Merged, Naming, merge
from datastill.coco.normalize import read_foreign
from datastill.commands.output_folder import make_folder
from datastill.commands.own_data.inputs import common_folder, usable_labels
from datastill.errors import DataError, ParamsError
from datastill.images.folders import Folder
from datastill.images.sizes import complete_sizes
from datastill.io import write_text


def run(
    base: Path, corrected: Sequence[Path], to: Path, images: Sequence[Path], scored: bool
) -> str:
    """Write the merged labels to `to` and conflicts to a CSV beside it; return a summary.

    images  the folders of all images, base's first; without any, images are identified by their
            file names only
    scored  whether to also take images whose annotations all have a score

    Raises DataError for files that cannot be merged, ParamsError if `to` exists.
    """
    if to.exists():
        raise ParamsError(f"{to} exists; choose another name or remove it")
    paths = [base, *corrected]
    if len({*paths}) < len(paths):
        raise ParamsError("expected every file once, found one of them twice")
    contents = {str(path): complete_sizes(path, read_foreign(path), images) for path in paths}
    merged = merge(contents, _by_file(images) if images else _by_name, scored)
    coco = merged.coco()
    if not coco.annotations:
        raise DataError(f"{to}: expected labels, found only untouched generated ones")
    usable_labels(to, coco, "keypoints" if coco.keypoint_names() else "boxes")
    make_folder(to.parent)
    table = to.with_suffix(".conflicts.csv")
    if merged.conflicts:
        write_text(table, pd.DataFrame(merged.conflicts).to_csv(index=False))
    write_coco(to, coco)
    return "\n".join(_report(merged, table, to, images))


def _by_name(file_name: str, _: bool) -> tuple[str, str]:
    """Identify an image by its file name only, as labelling tools change folders."""
    return file_name.replace("\\", "/").rpartition("/")[2], file_name


def _by_file(folders: Sequence[Path]) -> Naming:
    """Return what identifies an image by its file in one of `folders`, named below all of them.

    Tools add folders to names or remove them: the longest end of a name that is a file counts,
    preferably in the folder that the name gives. An image of the first annotation file (True) is
    looked up in the first folder that has it. Raises DataError for no file, or for several.
    """
    listings = {folder: Folder(folder, folder.name).listing() for folder in folders}
    top = common_folder(folders)

    def identify(file_name: str, is_first: bool) -> tuple[str, str]:
        parts = file_name.replace("\\", "/").split("/")
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            holding = [folder for folder in folders if end in listings[folder]]
            named = [folder for folder in holding if [folder.resolve().name] == parts[:start][-1:]]
            candidates = named or (holding[:1] if is_first else holding)
            if len(candidates) > 1:
                places = " and ".join(map(str, candidates))
                raise DataError(f"{file_name}: is in {places}; put the folder's name before it")
            if candidates:
                path = candidates[0].absolute() / end
                return str(path.resolve()), os.path.relpath(path, top)
        places = ", ".join(map(str, folders))
        raise DataError(f"{file_name}: no such image in {places}; name its folder with --images")

    return identify


def _report(merged: Merged, table: Path, to: Path, images: Sequence[Path]) -> Iterator[str]:
    taken = Counter(merged.sources.values())
    yield from (f"{name}: {taken[name]:,} images" for name in merged.untouched)
    for name, count in merged.untouched.items():
        if count:
            yield (
                f"{name}: {count:,} images are left out: all their annotations still have a score, "
                "so nobody has checked them; --scored takes them"
            )
    counts = [len(labels) for labels in merged.labels.values()]
    empty = counts.count(0)
    yield f"in all {len(counts):,} images, {empty:,} without labels, {sum(counts):,} labels"
    if not merged.conflicts:
        yield "no conflicts between files"
    else:
        yield f"{len(merged.conflicts):,} images are labelled differently; the last file is taken"
        for c in merged.conflicts[:5]:
            earlier = f"{c.earlier_instances} in {c.earlier}"
            yield f"  {c.image}: {earlier}, {c.taken_instances} in {c.taken}"
        yield f"all are in {table}"
    folder = common_folder(images) if images else "FOLDER"
    if images and Path(folder).is_relative_to(Path.cwd()):
        folder = os.path.relpath(folder)
    yield f"\nnext\n  datastill new NAME --labelled {to} --images {folder} ..."
