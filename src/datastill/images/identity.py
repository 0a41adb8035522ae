"""Identity of images across files that name them differently: by name, or by the file itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from datastill.errors import DataError
from datastill.images.folders import Folder


def by_name(file_name: str, _: bool) -> tuple[str, str]:
    """Identify an image by its name without folders, which labelling tools change."""
    return file_name.replace("\\", "/").rpartition("/")[2], file_name


def by_file(folders: Sequence[Path]) -> Callable[[str, bool], tuple[str, str]]:
    """Return what identifies an image by its file in one of `folders`, named below all of them.

    Tools add folders to names or remove them: the longest end of a name that is a file counts,
    preferably in the folder that the name says. An image of the first annotation file (True) is
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


def common_folder(folders: Sequence[Path]) -> str:
    """Return the absolute path of the lowest folder that holds all `folders`."""
    return os.path.commonpath([os.path.normpath(folder.absolute()) for folder in folders])
