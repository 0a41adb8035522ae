"""Image sets of public repositories, file by file, from a fixed commit.

`published/<name>.json` describes a set and lists its files: path, size in bytes and SHA-256.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from datastill.errors import DataError
from datastill.images.pools import Threads
from datastill.io import atomic, digest, write_text
from datastill.sources.download import Archive, download

RAW_SERVER = "https://raw.githubusercontent.com"

_CONNECTIONS = 8
_STAGING = ".fetching"  # holds what is not verified yet
_NOTE = "SOURCE.txt"


@dataclass(frozen=True)
class PublishedFile:
    """A file of a set: its path below the set's folder, `size` in bytes and SHA-256."""

    path: str
    size: int
    sha256: str

    def matches(self, file: Path) -> bool:
        """Return whether `file` exists and has this content."""
        return file.is_file() and file.stat().st_size == self.size and digest(file) == self.sha256


@dataclass(frozen=True)
class PublishedSet:
    """A folder of a repository, as it was at `commit`."""

    title: str
    repository: str
    commit: str
    folder: str
    licence: str
    citation: str
    files: tuple[PublishedFile, ...]

    def source(self) -> str:
        """Return what the set is, where it is from, its licence and how to cite it."""
        page = f"https://github.com/{self.repository}/tree/{self.commit}/{self.folder}".rstrip("/")
        return source_note(self.title, page, self.licence, self.citation)

    def url(self, file: PublishedFile, server: str) -> str:
        """Return the address of `file`."""
        path = f"{self.folder}/{file.path}".lstrip("/")
        return f"{server.rstrip('/')}/{self.repository}/{self.commit}/{quote(path)}"


def source_note(title: str, page: str, licence: str, citation: str) -> str:
    """Return the lines on a set's origin that are printed and kept beside it."""
    return f"{title}\nFrom: {page}\nLicence: {licence}\nCitation: {citation}"


def write_source(folder: Path, note: str) -> None:
    """Write a set's `source_note` beside its files."""
    write_text(folder / _NOTE, f"{note}\n")


def read_published_set(name: str) -> PublishedSet:
    """Return the set that the package lists under `name`."""
    path = Path(__file__).with_name("published") / f"{name}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    listed = ((path, *entry.split()) for path, entry in content.pop("files").items())
    files = tuple(PublishedFile(path, int(size), sha256) for path, size, sha256 in listed)
    return PublishedSet(**content, files=files)


def missing_files(published: PublishedSet, folder: Path) -> list[PublishedFile]:
    """Return the files that `folder` lacks; raises DataError if one there has other content."""
    missing = []
    for file in published.files:
        if file.matches(target := folder / file.path):
            continue
        if os.path.lexists(target):
            raise DataError(
                f"{target}: differs from the published file; move it away and run again"
            )
        missing.append(file)
    return missing


def download_files(
    published: PublishedSet,
    files: Sequence[PublishedFile],
    folder: Path,
    server: str,
    advance: Callable[[], None],
) -> None:
    """Download `files` into `folder`; each appears there once it is whole and verified.

    A killed run resumes; an error of the disk leaves only verified files. Raises DataError if a
    file cannot be had or has another digest, and deletes it then.
    """
    staging = folder / _STAGING
    try:
        with Threads(_CONNECTIONS) as pool:
            for _ in pool.map(partial(_download, published, folder, server), files):
                advance()
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    shutil.rmtree(staging, ignore_errors=True)


def _download(published: PublishedSet, folder: Path, server: str, file: PublishedFile) -> None:
    url, staging = published.url(file, server), (folder / _STAGING / file.path).parent
    staging.mkdir(parents=True, exist_ok=True)
    staged = download(Archive(url, file.size, f"sha256:{file.sha256}"), staging, lambda _: None)
    if (received := digest(staged)) != file.sha256:
        staged.unlink()
        raise DataError(
            f"{url}: expected sha256 {file.sha256}, found {received}; it is deleted: run again, or "
            "take the files from another server or with --from"
        )
    target = folder / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(target)


def copy_files(
    files: Sequence[PublishedFile],
    sources: Sequence[Path],
    folder: Path,
    advance: Callable[[], None],
) -> None:
    """Copy `files` from the folders `sources`, where they have their path or are anywhere by name.

    Raises DataError before anything is copied if one is absent or only there with another digest.
    """
    names = _by_name(sources)
    origins = [_find(file, sources, names) for file in files]
    for file, origin in zip(files, origins, strict=True):
        with atomic(folder / file.path) as copy:
            shutil.copyfile(origin, copy)
        advance()


def _by_name(sources: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the files below `sources` by their own name."""
    names: dict[str, list[Path]] = {}
    for source in sources:
        if not source.is_dir():
            raise DataError(f"--from {source}: no such folder")
        for folder, _, files in os.walk(source):
            for name in files:
                names.setdefault(name, []).append(Path(folder, name))
    return names


def _find(file: PublishedFile, sources: Sequence[Path], names: dict[str, list[Path]]) -> Path:
    paths = [source / file.path for source in sources if (source / file.path).is_file()]
    paths += names.get(Path(file.path).name, [])
    if origin := next((path for path in paths if file.matches(path)), None):
        return origin
    if paths:
        raise DataError(
            f"{paths[0]}: expected {file.size} bytes with sha256 {file.sha256}, found "
            f"{paths[0].stat().st_size} with {digest(paths[0])}; take the file from elsewhere"
        )
    folders = ", ".join(map(str, sources))
    raise DataError(f"no {file.path} in {folders}; name the folder that has it with another --from")
