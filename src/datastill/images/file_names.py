"""File names of annotation files, matched to files by the longest end that they share."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

_SHOWN = 3  # files that a message names


@dataclass(frozen=True)
class ListedFile:
    """A file in the folder number `rank`.

    located  its name below a profile's images
    parts    those of its name below its folder, as `name_parts` returns them
    whole    those of its whole path
    """

    located: str
    parts: tuple[str, ...]
    whole: tuple[str, ...]
    rank: int

    def accepts(self, shared: int, wanted: Sequence[str]) -> bool:
        """Return whether so many last parts identify it: all parts of either name, or two."""
        return shared >= min(len(self.parts), len(wanted), 2)


def name_parts(file_name: str) -> tuple[str, ...]:
    """Return folders and file of a name in NFC, separated by / or \\, without `.`."""
    text = unicodedata.normalize("NFC", file_name.replace("\\", "/"))
    return tuple(part for part in text.split("/") if part not in ("", "."))


def list_files(path: Path, name: str, rank: int, files: Iterable[str]) -> Iterator[ListedFile]:
    """Yield the `files` of the folder `path`, which is `name` below a profile's images."""
    above = name_parts(str(path.absolute()))
    for file in files:
        parts = name_parts(file)
        yield ListedFile(f"{name}/{file}", parts, (*above, *parts), rank)


def match_ends(
    wanted: Iterable[str], files: Iterable[ListedFile]
) -> tuple[dict[str, str], list[str]]:
    """Return where the `wanted` names are located, and those matched without all their folders.

    A name takes the file that has the most last parts of its path in common with it; of several,
    the one whose name below its folder it is, or else those of the first folder. It is not matched
    if several remain, or if another name has more in common with the file.
    """
    names = {name: name_parts(name) for name in wanted}
    index = _by_end(names.values(), files)
    claims: dict[str, list[tuple[int, bool, str]]] = defaultdict(list)
    loose: set[str] = set()
    for name, parts in names.items():
        ends = (parts[start:] for start in range(len(parts)))
        end = next((end for end in ends if end in index), ())
        nearest = [file for file in index.get(end, ()) if file.accepts(len(end), parts)]
        nearest = [file for file in nearest if file.parts == parts] or nearest
        first = [file for file in nearest if file.rank == nearest[0].rank]
        if len(first) == 1:
            claims[first[0].located].append((len(end), first[0].parts == parts, name))
            if not len(parts) == len(end) >= len(first[0].parts):
                loose.add(name)
    located = {}
    for file, claimed in claims.items():
        *others, nearest_name = sorted(claimed)
        if not others or others[-1][:2] < nearest_name[:2]:
            located[nearest_name[2]] = file
    return located, [name for name in located if name in loose]


def _by_end(
    wanted: Iterable[tuple[str, ...]], files: Iterable[ListedFile]
) -> dict[tuple[str, ...], list[ListedFile]]:
    """Return the files by every end of their paths that a wanted name may have."""
    longest: dict[str, int] = defaultdict(int)
    for parts in wanted:
        longest[parts[-1] if parts else ""] = max(longest[parts[-1] if parts else ""], len(parts))
    index: dict[tuple[str, ...], list[ListedFile]] = defaultdict(list)
    for file in files:
        for count in range(1, longest.get(file.parts[-1], 0) + 1):
            index[file.whole[-count:]].append(file)
    return index


def describe_absence(wanted: str, files: Sequence[str]) -> str:
    """Return lines that show a name that is not among `files`, these, and those most like it."""
    shown = ", ".join(repr(file) for file in sorted(files)[:_SHOWN])
    by_base: dict[str, list[str]] = defaultdict(list)
    for file in sorted(files):
        by_base[file.rpartition("/")[2].lower()].append(file)
    base = (name_parts(wanted) or (wanted,))[-1].lower()
    near = get_close_matches(base, by_base, n=_SHOWN)
    nearest = [file for match in near for file in by_base[match]][:_SHOWN]
    there = f"{len(files):,} files, such as {shown}" if files else "no files"
    lines = [f"wanted: {wanted!r}", f"there: {there}"]
    if nearest:
        lines.append(f"most like it: {', '.join(map(repr, nearest))}")
    return "\n  ".join(lines)
