"""Every digest of a chain, recomputed from the available files."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datastill.errors import DataError
from datastill.io import digest, read_json
from datastill.lineage.dvc_lock import FOLDER, File
from datastill.lineage.git_history import folder_digest

_UNWATCHED = {".dvc", ".git", ".hg", "__pycache__", ".venv"}  # by DVC, in a folder


@dataclass(frozen=True)
class Verdict:
    """The state of one recorded file, in the workspace or in DVC's cache."""

    file: File
    where: str  # the path that was read
    state: Literal["same", "differs", "absent"]
    difference: str = ""  # in words


def verify(files: Iterable[File], cache: Path) -> list[Verdict]:
    """Compute the digests of all `files`, in the workspace and in DVC's `cache`; each once.

    A file that is in neither is absent.
    """

    def verdicts(file: File) -> list[Verdict]:
        checked = [*_in_place(file), *_in_cache(file, cache)]
        return checked or [Verdict(file, file.path, "absent")]

    with ThreadPoolExecutor() as pool:
        by_file = pool.map(verdicts, dict.fromkeys(files))
        return list(dict.fromkeys(verdict for each in by_file for verdict in each))


def image_files(manifest: Path, root: Path) -> list[File]:
    """Return every image below `root` that `manifest` lists, with its digest there."""
    # not at the top: slow to import, and most traces need neither
    from datastill.images.load import image_path
    from datastill.images.manifest import read_column

    digests = read_column(manifest, "digest")
    try:
        return [File(str(image_path(root, name)), "", sha256) for name, sha256 in digests.items()]
    except ValueError as error:  # no file can have that name
        raise DataError(f"{manifest}: {error}; run the stage data again") from None


def _in_place(file: File) -> Iterator[Verdict]:
    path = Path(file.path)
    if path.is_dir():
        members = {m.relative_to(path): m for m in path.rglob("*") if m.is_file()}
        listed = {n.as_posix(): _md5(m) for n, m in members.items() if not _UNWATCHED & {*n.parts}}
        yield _compared(file, file.path, folder_digest(listed), file.md5)
    elif path.is_file():
        if file.md5:
            yield _compared(file, file.path, _md5(path), file.md5)
        if file.sha256:
            yield _compared(file, file.path, digest(path), file.sha256)


def _in_cache(file: File, cache: Path) -> Iterator[Verdict]:
    """Check the cached object of `file`, and for a folder those of its files."""
    path = cache / "files" / "md5" / file.md5[:2] / file.md5[2:]
    if not file.md5 or not path.is_file():
        return
    verdict = _compared(file, str(path), _md5(path), file.md5.removesuffix(FOLDER))
    yield verdict
    if file.is_folder and verdict.state == "same":
        for member in read_json(path, "DVC's list of a folder"):
            yield from _in_cache(File(f"{file.path}/{member['relpath']}", member["md5"]), cache)
    elif file.sha256 and verdict.state == "same":
        yield _compared(file, str(path), digest(path), file.sha256)


def _compared(file: File, where: str, present: str, recorded: str) -> Verdict:
    if present == recorded:
        return Verdict(file, where, "same")
    return Verdict(file, where, "differs", f"is {present[:8]}, was {recorded[:8]}")


def _md5(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
