"""Folders of images and the images of annotation files in them."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from datastill.coco.format import Coco, Record, image_id
from datastill.coco.image_header import image_size
from datastill.coco.subsets import subset
from datastill.errors import DataError
from datastill.images.file_names import describe_absence, list_files, match_ends
from datastill.images.load import IMAGE_KINDS, Refusal, printable
from datastill.progress import note_once

VIDEO_KINDS = (
    ".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm",
    ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv",
)  # fmt: skip
_COCO_NAME = re.compile(r"(?:COCO_\w+_)?(\d{12}\.jpg)")  # of 2014 and of 2017
_IN_DVC_CACHE = re.compile(r"/(?:files/md5|\.dvc/cache)/[0-9a-f]{2}/[0-9a-f]{30}$")


@dataclass(frozen=True)
class Contents:
    """The files of a folder, by names relative to it.

    root      the real path of the folder
    files     the real path of each (`real_path`)
    left_out  links to what is absent or outside the folder, pipes and devices, with the reason
    cached    files that are links into DVC's cache
    """

    root: str
    files: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    cached: list[str] = field(default_factory=list)

    def reason(self, file_name: str) -> str | None:
        """Return why `file_name` is left out, None if it is not."""
        parts = file_name.split("/")
        ends = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
        return next((self.left_out[end] for end in ends if end in self.left_out), None)


@dataclass(frozen=True)
class Folder:
    """A folder of images and the name under which a profile links to it."""

    path: Path
    name: str

    def listing(self) -> set[str]:
        """Return its files, by name relative to it; raises DataError if it is absent."""
        return {*self.contents().files}

    def contents(self) -> Contents:
        """Return its files, also behind links that stay in it or lead into DVC's cache.

        Raises DataError if it is absent or unreadable.
        """
        if not self.path.is_dir():
            raise DataError(f"{self.path}: no such folder of images")
        root = os.path.realpath(self.path)
        contents = Contents(root)
        try:
            _scan(root, "", contents, {root})
        except OSError as error:
            raise DataError(f"{self.path}: not a readable folder: {error}") from None
        for name, reason in sorted(contents.left_out.items())[:1]:
            kind = "links" if all("link" in r for r in contents.left_out.values()) else "entries"
            note_once(
                f"{self.path}: {len(contents.left_out):,} {kind} are left out, such as "
                f"{printable(name)}, which {reason}; put the files themselves there"
            )
        return contents


def _scan(folder: str, name: str, contents: Contents, followed: set[str]) -> None:
    """Add the files of `folder`, a real path; their names start with `name`.

    `followed` has the linked folders so far: links in a circle end there.
    """
    for entry in [*os.scandir(folder)]:
        file_name, linked = name + entry.name, entry.is_symlink()
        real = os.path.realpath(entry.path) if linked else entry.path
        if linked and (reason := _lost_link(real, contents.root)):
            contents.left_out[file_name] = reason
        elif not entry.is_dir() and not entry.is_file():
            contents.left_out[file_name] = "is a pipe or a device"
        elif not entry.is_dir():
            cached = linked and _IN_DVC_CACHE.search(real)
            contents.files[file_name] = entry.path if cached else real
            if cached:
                contents.cached.append(file_name)
        elif not linked or real not in followed:
            followed |= {real} if linked else set()
            _scan(real, f"{file_name}/", contents, followed)


def _lost_link(target: str, root: str) -> str | None:
    """Return why a link to the real path `target` is not followed, None if it is."""
    if not Path(target).exists():
        return f"is a link to {printable(target)}, which is not there"
    inside = Path(target).is_relative_to(root) or _IN_DVC_CACHE.search(target)
    return None if inside else f"is a link to {printable(target)}, outside the folder"


def real_path(path: Path) -> str:
    """Return the path without links, but for one into DVC's cache, where equal files are one."""
    real = os.path.realpath(path)
    return f"{os.path.realpath(path.parent)}/{path.name}" if _IN_DVC_CACHE.search(real) else real


def locate(coco: Coco, folders: Sequence[Folder]) -> tuple[Coco, list[Refusal]]:
    """Return `coco` with each `file_name` as "<folder's name>/<file>", and the images not found.

    The first of `folders` that has an image is used, under its own name or, for COCO's images,
    its name of 2014 or 2017; an image that none has so is the one whose path ends like its name
    (`match_ends`). Absent folders are skipped.
    Raises DataError if a name leaves its folder or no image at all is found.
    """
    contents = {f.name: f.contents() for f in folders if f.path.is_dir()}
    listings = [(name, _by_name(each.files)) for name, each in contents.items()]
    tried = ", ".join(str(folder.path) for folder in folders)
    names = [image["file_name"] for image in coco.images]
    _check_inside(names)
    places = {name: place for name in names if (place := _located_name(name, listings))}
    places |= _by_end({*names} - places.keys(), places.values(), folders, contents)
    located, refused = [], []
    for image in coco.images:
        if place := places.get(image["file_name"]):
            located.append({**image, "file_name": place})
            continue
        reasons = (each.reason(image["file_name"]) for each in contents.values())
        reason = next((each for each in reasons if each), f"no such file in {tried}")
        refused.append(Refusal(image["file_name"], reason))
    if refused and not located:
        raise DataError(
            f"none of {len(refused)} images is there: {refused[0].reason}\n  "
            + describe_absence(refused[0].file_name, [n for _, files in listings for n in files])
        )
    return subset(coco, located), refused


def _check_inside(names: Iterable[str]) -> None:
    for name in names:
        first, *others = name.replace("\\", "/").split("/")
        if ".." in (first, *others) or (others and not first):
            raise DataError(f"file_name {name!r} leaves the image folder")


def _by_end(
    wanted: set[str],
    taken: Iterable[str],
    folders: Sequence[Folder],
    contents: Mapping[str, Contents],
) -> dict[str, str]:
    """Return where names are located by their ends, in files that are not `taken`; note some."""
    if not wanted:
        return {}
    occupied = {*taken}
    files = [
        file
        for rank, folder in enumerate(folders)
        if folder.name in contents
        for file in list_files(folder.path, folder.name, rank, contents[folder.name].files)
        if file.located not in occupied
    ]
    places, loose = match_ends(sorted(wanted), files)
    if loose:
        note_once(
            f"{folders[0].path}: {len(loose):,} file names are matched by their ends alone, such "
            f"as {loose[0]!r} as {places[loose[0]]!r}"
        )
    return places


def absence(file_name: str, folder: Folder) -> str:
    """Return lines that show an absent image, what lies in its folder, and the names like it."""
    return describe_absence(file_name, [*folder.listing()])


def bare_name(file_name: str) -> str:
    """Return the name without its folders and, for COCO's images, without the prefix of 2014."""
    name = file_name.rpartition("/")[2]
    return match[1] if (match := _COCO_NAME.fullmatch(name)) else name


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Return a key that sorts names by the numbers in them: img2 before img10."""
    parts = re.split(r"([0-9]+)", name)  # text and number in turn
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def _by_name(files: Iterable[str]) -> dict[str, str]:
    """Return every file by its own name, and COCO's images also by their bare one."""
    names = sorted(files)
    bare = {bare_name(name): name for name in names if _COCO_NAME.fullmatch(name)}
    return bare | {name: name for name in names}


def _located_name(file_name: str, listings: Iterable[tuple[str, Mapping[str, str]]]) -> str | None:
    bare = bare_name(file_name)
    names = [file_name, bare] if _COCO_NAME.fullmatch(bare) else [file_name]
    matches = (f"{folder}/{files[n]}" for folder, files in listings for n in names if n in files)
    return next(matches, None)


def folder_images(folder: Folder) -> tuple[list[Record], list[Refusal]]:
    """Return a record of every image in `folder`, sorted, and the files that are not images.

    An image that has several names by links is listed once.
    """
    records: list[Record] = []
    refused: list[Refusal] = []
    files = sorted(folder.contents().files.items(), reverse=True)
    names = {real: name for name, real in files}.values()  # of several, the first alone
    for name in sorted(n for n in names if PurePosixPath(n).suffix.lower() in IMAGE_KINDS):
        file_name = f"{folder.name}/{name}"
        try:
            if file_name != printable(file_name):
                raise DataError("its name is not UTF-8; rename it")
            width, height = image_size(folder.path / name)
        except DataError as error:
            refused.append(Refusal(printable(file_name), str(error)))
            continue
        identity = {"id": image_id(file_name), "file_name": file_name}
        records.append({**identity, "width": width, "height": height})
    return records, refused


def other_files(folder: Folder) -> str | None:
    """Return how many files are no images by their names, and of which kinds; None if all are."""
    suffixes = (PurePosixPath(name).suffix.lower() or "unnamed" for name in folder.listing())
    kinds = Counter(suffix for suffix in suffixes if suffix not in IMAGE_KINDS)
    ordered = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
    counts = ", ".join(f"{count:,} {suffix}" for suffix, count in ordered)
    return f"{kinds.total():,} files left out: {counts}" if kinds else None


def missing_images(root: Path, coco: Coco) -> list[str]:
    """Return the file names of the set's images that are not below `root`."""
    names = (image["file_name"] for image in coco.images)
    # root / name would intern the name as long as its record lives, in a table that never shrinks
    return [name for name in names if not Path(f"{root}/{name}").is_file()]
