"""Are the bytes at hand those that the chain tells of? Every digest, computed again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datastill.io import digest
from datastill.lineage.dvc_lock import FOLDER, File
from datastill.lineage.git_history import folder_digest

_UNWATCHED = {".dvc", ".git", ".hg", "__pycache__", ".venv"}  # by DVC, in a folder
State = Literal["same", "differs", "absent"]


@dataclass(frozen=True)
class Verdict:
    """What was found of one recorded file, in the workspace or in DVC's cache."""

    file: File
    where: str  # the path that was looked at
    state: State
    found: str = ""  # in words, where it differs


def verify(files: Iterable[File], cache: Path) -> list[Verdict]:
    """Compute the digests of all `files`, in their place and in DVC's `cache`; each once.

    A file that is in neither is absent: nothing is known of it.
    """
    verdicts = []
    for file in dict.fromkeys(files):
        found = [*_in_place(file), *_in_cache(file, cache)]
        verdicts += found or [Verdict(file, file.path, "absent")]
    return list(dict.fromkeys(verdicts))


def verify_images(manifest: File, root: Path) -> list[Verdict]:
    """Compute the digest of every image that the manifest lists and that is below `root`."""
    # not at the top: they take seconds to import, and most traces need neither
    from datastill.images.load import image_path
    from datastill.images.manifest import read_manifest

    lines = read_manifest(Path(manifest.path))["digest"]
    files = [File(str(image_path(root, str(name))), "", sha256) for name, sha256 in lines.items()]
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda file: [*_in_place(file)], files)
        return [
            verdict
            for file, verdicts in zip(files, found, strict=True)
            for verdict in verdicts or [Verdict(file, file.path, "absent")]
        ]


def _in_place(file: File) -> Iterator[Verdict]:
    path = Path(file.path)
    if path.is_dir():
        members = [member for member in path.rglob("*") if member.is_file()]
        names = {member.relative_to(path): member for member in members}
        listed = {n.as_posix(): _md5(m) for n, m in names.items() if not _UNWATCHED & {*n.parts}}
        yield _compared(file, file.path, folder_digest(listed), file.md5)
        return
    if not path.is_file():
        return
    if file.md5:
        yield _compared(file, file.path, _md5(path), file.md5)
    if file.sha256:
        yield _compared(file, file.path, digest(path), file.sha256)


def _in_cache(file: File, cache: Path) -> Iterator[Verdict]:
    """Look at the object that holds `file`, and for a folder at those of its files."""
    path = _object(cache, file.md5)
    if not file.md5 or not path.is_file():
        return
    verdict = _compared(file, str(path), _md5(path), file.md5.removesuffix(FOLDER))
    yield verdict
    if file.is_folder and verdict.state == "same":
        for member in json.loads(path.read_text()):
            inside = File(f"{file.path}/{member['relpath']}", member["md5"])
            yield from _in_cache(inside, cache)
    elif file.sha256 and verdict.state == "same":
        yield _compared(file, str(path), digest(path), file.sha256)


def _object(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def _compared(file: File, where: str, found: str, wanted: str) -> Verdict:
    if found == wanted:
        return Verdict(file, where, "same")
    return Verdict(file, where, "differs", f"is {found[:8]}, was {wanted[:8]}")


def _md5(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
