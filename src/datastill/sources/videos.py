"""Which videos are in a folder, or on a list?"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from datastill.errors import DataError

VIDEO_KINDS = (
    ".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm",
    ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv",
)  # fmt: skip  # the suffixes looked for in a folder, in any case


def find_videos(source: Path) -> tuple[Path, list[str]]:
    """Return the root folder and its videos: posix names relative to the root, sorted, each once.

    `source` is a folder, searched with all folders in it that are no links, one video, or a text
    file with one path per line, relative to the file's folder; blank lines and lines with a leading
    # say nothing. Raises DataError where it is absent or none of these, names no video, or a path
    leaves the folder.
    """
    if source.is_dir():
        root, names = source, _videos_below(source)
    elif source.is_file():
        one = source.suffix.lower() in VIDEO_KINDS
        root, names = source.parent, {source.name} if one else _listed(source)
    else:
        raise DataError(f"{source}: expected a folder or a list of videos, found nothing there")
    if not names:
        raise DataError(f"{source}: expected videos ({' '.join(VIDEO_KINDS)}), found none")
    return root, sorted(names)


def _videos_below(root: Path) -> set[str]:
    files = (path for path in root.rglob("*") if path.suffix.lower() in VIDEO_KINDS)
    return {path.relative_to(root).as_posix() for path in files if not path.is_dir()}


def _listed(source: Path) -> set[str]:
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(
            f"{source}: expected a folder or a text file with one path per line, found no text"
        ) from None
    stripped = (line.strip() for line in lines)
    paths = [PurePosixPath(line) for line in stripped if line and not line.startswith("#")]
    for path in paths:
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{source}: {str(path)!r} leaves its folder; list paths below that")
    return {path.as_posix() for path in paths}
