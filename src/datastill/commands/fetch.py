"""Command `fetch`: the official archives of COCO, downloaded, verified and unpacked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from zipfile import ZipInfo

from filelock import FileLock, Timeout

from datastill.errors import DataError
from datastill.io import write_text
from datastill.progress import Steps
from datastill.sources.download import Archive, bytes_there, download, members, unpack, verify

_MIB, _GIB = 2**20, 2**30

SERVER = "http://images.cocodataset.org"  # https fails there: its certificate is Amazon's

# Sizes and MD5: github.com/datasets-mila/datasets--coco (git-annex keys of these addresses) and,
# for the MD5 again, github.com/twsl/pytorchcocotools (utils/coco/files.py).
COCO = (
    Archive("annotations/annotations_trainval2014.zip", 252872794,
            "md5:0a379cfc70b0e71301e0f377548639bd"),
    Archive("annotations/annotations_trainval2017.zip", 252907541,
            "md5:f4bbac642086de4f52a3fdda2de5fa2c"),
    Archive("annotations/image_info_unlabeled2017.zip", 4902013,
            "md5:ede38355d5c3e5251bb7f8b68e2c068f"),
    Archive("zips/val2017.zip", 815585330, "md5:442b8da7639aecaf257c1dceb8ba8c80"),
    Archive("zips/train2017.zip", 19336861798, "md5:cced6f7f71b7629ddf16f17bbcfab6b2"),
    Archive("zips/unlabeled2017.zip", 20126613414, "md5:7ebc562819fdb32847aab79530457326"),
)  # fmt: skip


def run(to: Path, only: Sequence[str], keep: bool, server: str | None) -> str:
    """Fetch the archives named in `only`, or all, into `to`; return a line about each.

    An archive that was unpacked stays on the disk only where `keep` says so.
    """
    root = (server or SERVER).rstrip("/")
    archives = [replace(archive, url=f"{root}/{archive.url}") for archive in _chosen(only)]
    try:
        to.mkdir(parents=True, exist_ok=True)
        with FileLock(to / ".fetch.lock", timeout=0):
            missing = [archive for archive in archives if not _unpacked_files(archive, to)]
            _require_room(to, _estimate(missing, to, keep))
            return "\n".join(_fetch(archive, to, keep) for archive in archives)
    except Timeout:
        raise DataError(f"{to}: another fetch is at work there; let it end first") from None
    except OSError as error:
        where, what = error.filename or to, error.strerror or error
        raise DataError(
            f"{where}: {what}; see to it and run again: it goes on from there"
        ) from None


def _chosen(only: Sequence[str]) -> list[Archive]:
    known = {archive.name.removesuffix(".zip"): archive for archive in COCO}
    if unknown := sorted(set(only) - set(known)):
        raise DataError(f"no archive {unknown[0]!r}; there are {', '.join(known)}")
    return [archive for name, archive in known.items() if name in only or not only]


def _fetch(archive: Archive, folder: Path, keep: bool) -> str:
    if count := _unpacked_files(archive, folder):
        return f"{archive.name}: already there, {count} files"
    with Steps(f"downloading {archive.name}, MiB", archive.size // _MIB) as steps:
        file = download(archive, folder, _Mebibytes(steps))
    if archive.digest:
        with Steps(f"verifying {archive.name}, MiB", archive.size // _MIB) as steps:
            verify(archive, file, _Mebibytes(steps))
    listed = members(file)
    total = sum(member.file_size for member in listed)
    files = [folder / m.filename for m in listed if not m.is_dir()]
    _require_room(folder, total - sum(path.stat().st_size for path in files if path.exists()))
    with Steps(f"unpacking {archive.name}, MiB", total // _MIB) as steps:
        unpack(file, listed, folder, _Mebibytes(steps))
    _mark(archive, folder, listed)
    if not keep:
        file.unlink()
    published = f"{archive.digest} as published"
    proof = published if archive.digest else "no digest is published: size and CRCs stood in for it"
    return f"{archive.name}: {len(files)} files, {proof}"


class _Mebibytes:
    """Counts bytes done as steps of a MiB; what the first call says, an earlier run has done."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._shown: int | None = None

    def __call__(self, done: int) -> None:
        if self._shown is None:
            self._steps.start_at(done // _MIB)
        else:
            self._steps.advance(done // _MIB - self._shown)
        self._shown = done // _MIB


def _estimate(missing: Sequence[Archive], folder: Path, keep: bool) -> int:
    """Return how many bytes `missing` will take: images shrink hardly in a zip.

    What an archive takes that is there already is known exactly once it is opened.
    """
    to_come = [archive.size - bytes_there(archive, folder) for archive in missing]
    unpacked = sum(a.size for a, rest in zip(missing, to_come, strict=True) if rest)
    return unpacked + (sum(to_come) if keep else max(to_come, default=0))


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: {needed / _GIB:.1f} GiB of disk needed, {free / _GIB:.1f} GiB free; "
            "make room, fetch less with --only or name another folder with --to"
        )


def _marker(archive: Archive, folder: Path) -> Path:
    return folder / f"{archive.name}.fetched"


def _mark(archive: Archive, folder: Path, listed: Sequence[ZipInfo]) -> None:
    """Note that all of `archive` was unpacked, and which files that are."""
    files = [str(PurePosixPath(each.filename)) for each in listed if not each.is_dir()]
    note = {"size": archive.size, "digest": archive.digest, "files": files}
    write_text(_marker(archive, folder), json.dumps(note, indent=0) + "\n")


def _unpacked_files(archive: Archive, folder: Path) -> int:
    """Return how many files `archive` had if all were unpacked and are there, else 0."""
    try:
        note = json.loads(_marker(archive, folder).read_text(encoding="utf-8"))
        files = set(note["files"])
        places = {PurePosixPath(name).parent for name in files}
        there = {str(at / each.name) for at in places for each in (folder / at).iterdir()}
    except (FileNotFoundError, ValueError, KeyError):
        return 0
    same = (note["size"], note["digest"]) == (archive.size, archive.digest)
    return len(files) if same and files <= there else 0
