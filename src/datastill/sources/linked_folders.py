"""Links below a profile's images to the folders that hold them."""

import os
import shutil
from pathlib import Path

from datastill.errors import DataError
from datastill.images.folders import Folder

_MIRRORS = ".mirrors"  # below a profile's images


def link_folder(folder: Folder, images: Path) -> None:
    """Link `folder`, if it exists, by its name below `images`.

    If files of it are links into DVC's cache, the link leads to a mirror of it: readers of images
    follow no link out of a folder, and names must be the same in a clone whose files are copies.
    Raises DataError if there is a real folder of that name.
    """
    path, link = folder.path, images / folder.name
    if not path.is_dir():
        return
    contents = folder.contents()
    mirror = images / _MIRRORS / folder.name
    target = _mirror(path, contents.files, mirror) if contents.cached else path.resolve()
    if link.is_symlink() and link.resolve() == target:
        return
    if link.is_dir() and not link.is_symlink():
        raise DataError(f"{link}: expected a link to {path}, found a folder; move it away")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target, target_is_directory=True)


def _mirror(folder: Path, names: dict[str, str], mirror: Path) -> Path:
    """Return `mirror` with the files as hard links or, on another file system, as copies."""
    for name in names:
        source, file = Path(os.path.realpath(folder / name)), mirror / name
        if file.is_file() and _state(file) == _state(source):
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        try:
            file.hardlink_to(source)
        except OSError:
            shutil.copy2(source, file)
    return mirror.resolve()


def _state(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns
