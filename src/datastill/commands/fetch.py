"""Command `fetch`: public image sets, downloaded or copied, and verified."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from datastill.errors import DataError
from datastill.io import write_text
from datastill.progress import Steps
from datastill.sources.download import Archive, bytes_there, download, safe_members, unpack, verify
from datastill.sources.published_sets import (
    RAW_SERVER,
    copy_files,
    download_files,
    missing_files,
    read_published_set,
    source_note,
    write_source,
)

_MB = 10**6
_COCO_SOURCE = source_note(
    "COCO: photographs of everyday scenes with 80 categories of objects, and keypoints of people",
    "https://cocodataset.org",
    "annotations CC BY 4.0; images under the terms of Flickr, see https://cocodataset.org/#termsofuse",
    "T.-Y. Lin et al., Microsoft COCO: common objects in context. ECCV 2014. "
    "https://arxiv.org/abs/1405.0312",
)

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


def run(
    to: Path, only: Sequence[str], keep: bool, server: str | None, sources: Sequence[Path] = ()
) -> str:
    """Fetch the archives named in `only`, or all, into `to`; return a line about each.

    An unpacked archive is deleted unless `keep`. If there are `sources`, archives are taken from
    these folders and stay there.
    """
    known = {archive.name.removesuffix(".zip"): archive for archive in COCO}
    if unknown := sorted(set(only) - set(known)):
        raise DataError(f"no archive {unknown[0]!r}; there are {', '.join(known)}")
    root = _address(server, SERVER).rstrip("/")
    chosen = [archive for name, archive in known.items() if name in only or not only]
    archives = [replace(archive, url=f"{root}/{archive.url}") for archive in chosen]
    with _writing(to):
        for archive in archives:
            _link(archive, sources, to)
        missing = [archive for archive in archives if not _unpacked_files(archive, to)]
        _require_space(to, _estimate(missing, to, keep))
        lines = [_fetch(archive, to, keep) for archive in archives]
        write_source(to, _COCO_SOURCE)
    return "\n".join([*lines, "", _COCO_SOURCE])


def run_published(name: str, to: Path, sources: Sequence[Path], server: str | None) -> str:
    """Fetch a repository's set into `to`, or copy it from the folders `sources`; return its origin.

    Raises DataError if a file cannot be had, is another one, or is in the way of one.
    """
    published = read_published_set(name)
    with _writing(to):
        missing = missing_files(published, to)
        _require_space(to, sum(file.size for file in missing))
        with Steps(f"fetching {name}, files", len(missing)) as steps:
            if sources:
                copy_files(missing, sources, to, steps.advance)
            else:
                download_files(published, missing, to, _address(server, RAW_SERVER), steps.advance)
        write_source(to, published.source())
    there = len(published.files) - len(missing)
    counts = f"{to}: {len(missing)} files fetched, {there} already there, all as published"
    return f"{counts}\n\n{published.source()}"


@contextmanager
def _writing(to: Path) -> Iterator[None]:
    """Create and lock the folder `to`; make one DataError of what its disk or another run does."""
    try:
        to.mkdir(parents=True, exist_ok=True)
        with FileLock(to / ".fetch.lock", timeout=0):
            yield
    except Timeout:
        raise DataError(f"{to}: another fetch is running there; wait for it to end") from None
    except OSError as error:
        place = f"{error.filename or to}: {error.strerror or error}"
        advice = "free disk space or fix permissions, then run again to resume"
        raise DataError(f"{place}; {advice}") from None


def _link(archive: Archive, sources: Sequence[Path], folder: Path) -> None:
    """Link `archive` from the first of `sources` that has it: a copy would double its size."""
    if not sources or _unpacked_files(archive, folder) or os.path.lexists(folder / archive.name):
        return
    paths = [source / archive.name for source in sources]
    if not (origin := next((path for path in paths if path.is_file()), None)):
        raise DataError(f"no {archive.name} in {', '.join(map(str, sources))}; download it there")
    (folder / archive.name).symlink_to(origin.resolve())


def _fetch(archive: Archive, folder: Path, keep: bool) -> str:
    if count := _unpacked_files(archive, folder):
        return f"{archive.name}: already there, {count} files"
    with _Megabytes(f"downloading {archive.name}, MB", archive.size // _MB) as steps:
        file = download(archive, folder, steps)
    with _Megabytes(f"verifying {archive.name}, MB", archive.size // _MB) as steps:
        verify(archive, file, steps)
    listed = safe_members(file)
    total = sum(member.file_size for member in listed)
    names = [member.filename for member in listed if not member.is_dir()]
    paths = [folder / name for name in names]
    _require_space(folder, total - sum(path.stat().st_size for path in paths if path.exists()))
    with _Megabytes(f"unpacking {archive.name}, MB", total // _MB) as steps:
        unpack(file, listed, folder, steps)
    files = [str(PurePosixPath(name)) for name in names]
    note = {"size": archive.size, "digest": archive.digest, "files": files}
    write_text(_marker(archive, folder), json.dumps(note, indent=0) + "\n")
    if not keep:
        file.unlink()
    return f"{archive.name}: {len(files)} files, {archive.digest} as published"


class _Megabytes(Steps):
    """Counts bytes as steps of a MB; those of the first call were done by an earlier run."""

    _last: int | None = None

    def __call__(self, done: int) -> None:
        if self._last is None:
            self.start_at(done // _MB)
        else:
            self.advance(done // _MB - self._last)
        self._last = done // _MB


def _estimate(missing: Sequence[Archive], folder: Path, keep: bool) -> int:
    """Return how many bytes `missing` will take: images hardly shrink in a zip.

    The size of a downloaded archive's files is known once it is opened; it counts as 0 here.
    """
    remaining = [archive.size - bytes_there(archive, folder) for archive in missing]
    unpacked = sum(archive.size for archive, rest in zip(missing, remaining, strict=True) if rest)
    return unpacked + (sum(remaining) if keep else max(remaining, default=0))


def _require_space(folder: Path, needed: int) -> None:
    if needed > (free := shutil.disk_usage(folder).free):
        sizes = f"{needed / 1e9:.1f} GB of disk needed, {free / 1e9:.1f} GB free"
        advice = "free disk space, fetch less or name another folder with --to"
        raise DataError(f"{folder}: {sizes}; {advice}")


def _address(given: str | None, official: str) -> str:
    """Return the address to fetch from; raises DataError for an empty one, as of an unset name."""
    if given is not None and not given.strip():
        raise DataError("--base-url: expected an address, found none; omit it for the official one")
    return given or official


def _marker(archive: Archive, folder: Path) -> Path:
    """Return the file that lists what was unpacked from `archive`."""
    return folder / f"{archive.name}.fetched"


def _unpacked_files(archive: Archive, folder: Path) -> int:
    """Return the number of files of `archive` if all were unpacked and still exist, else 0."""
    try:
        note = json.loads(_marker(archive, folder).read_text(encoding="utf-8"))
        files = set(note["files"])
        parents = {PurePosixPath(name).parent for name in files}
        present = {str(parent / p.name) for parent in parents for p in (folder / parent).iterdir()}
    except (FileNotFoundError, ValueError, KeyError):
        return 0
    same = (note["size"], note["digest"]) == (archive.size, archive.digest)
    return len(files) if same and files <= present else 0
