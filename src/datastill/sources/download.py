"""Archives from the web: resumable download, verification and unpacking."""

import hashlib
import logging
import re
import shutil
import stat
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path, PureWindowsPath

import requests

from datastill.errors import DataError
from datastill.io import atomic

_log = logging.getLogger(__name__)

_CHUNK = 2**16  # bytes
_PAUSES = (1, 2, 4, 8, 16)  # seconds before each retry; starts over once more bytes arrive
_TIMEOUT = (10, 60)  # seconds to connect, seconds without a byte
_BUSY = {408, 429, 500, 502, 503, 504}  # HTTP statuses worth a retry
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)

Progress = Callable[[int], None]  # called with the bytes done, including an earlier run's


@dataclass(frozen=True)
class Archive:
    """A zip archive on the web: `size` in bytes, `digest` "<hashlib algorithm>:<hexadecimal>"."""

    url: str
    size: int
    digest: str

    @property
    def name(self) -> str:
        """The file name."""
        return self.url.rsplit("/", 1)[-1]


class _Part:
    """The received part of a file, and the server's tag of the file's content."""

    def __init__(self, file: Path) -> None:
        self.path = file.with_name(f"{file.name}.partial")
        self._tag = file.with_name(f"{file.name}.partial.tag")

    @property
    def size(self) -> int:
        return _size(self.path)

    @property
    def tag(self) -> str:
        return self._tag.read_text(encoding="utf-8") if self._tag.exists() else ""

    def begin(self, tag: str) -> None:
        self.path.write_bytes(b"")
        self._tag.write_text(tag, encoding="utf-8")

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self._tag.unlink(missing_ok=True)

    def headers(self) -> dict[str, str]:
        """Return headers that request the rest, or the whole file if the tag is outdated."""
        headers = {"Accept-Encoding": "identity"}  # a range counts the file's own bytes
        if self.size:
            headers["Range"] = f"bytes={self.size}-"
        if self.size and self.tag:
            headers["If-Range"] = self.tag
        return headers


def bytes_there(archive: Archive, folder: Path) -> int:
    """Return how many bytes of `archive` are in `folder`, complete or partial."""
    file = folder / archive.name
    return _size(file) or _Part(file).size


def download(archive: Archive, folder: Path, progress: Progress) -> Path:
    """Download `archive` into `folder` unless it is there, and return its path.

    Resumes an earlier run's part if the server still has the same file. Raises DataError if the
    server has no such file or one of another size, or cannot be reached.
    """
    file = folder / archive.name
    if file.exists():
        if _size(file) != archive.size:
            raise DataError(
                f"{file}: expected {archive.size} bytes, found {_size(file)}; remove it, or rename "
                f"it to {file.name}.partial to download the rest, and run again"
            )
        progress(archive.size)
        return file
    part = _Part(file)
    if part.size > archive.size:
        part.drop()
    _receive_all(archive, part, progress)
    part.path.replace(file)
    part.drop()
    return file


def _receive_all(archive: Archive, part: _Part, progress: Progress) -> None:
    furthest, pauses = part.size, iter(_PAUSES)
    while part.size < archive.size:
        reason = _receive(archive, part, progress)
        if part.size > furthest:
            furthest, pauses = part.size, iter(_PAUSES)
        if part.size == archive.size:
            return
        if (pause := next(pauses, None)) is None:
            raise DataError(
                f"{archive.url}: expected {archive.size} bytes, received {part.size}: {reason}; "
                "check the connection and run again to resume"
            )
        _log.warning("%s: %s; trying again in %s s", archive.name, reason, pause)
        time.sleep(pause)


def _receive(archive: Archive, part: _Part, progress: Progress) -> str:
    """Receive the rest; return a reason why it may have ended early, for a retry."""
    headers = part.headers()
    try:
        with requests.get(archive.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code in _BUSY:
                return f"HTTP status {response.status_code}"
            if response.status_code == 416 or not _continues(part, response):
                part.drop()
                return "the server's file has changed"
            _check_size(archive, response)
            if response.status_code == 200:
                part.begin(_tag(response))
            _append(archive, part, response, progress)
    except requests.RequestException as error:
        if isinstance(error, ValueError):  # such as a scheme that is neither http nor https
            raise DataError(f"{archive.url}: cannot be downloaded: {error}") from None
        return _cause(error)
    return "the connection ended early"


def _continues(part: _Part, response: requests.Response) -> bool:
    """Return False for a partial answer that does not continue `part`, the same file from there."""
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    same_file = not part.tag or _tag(response) in ("", part.tag)
    same_place = start is not None and int(start[1]) == part.size
    return response.status_code != 206 or (same_file and same_place)


def _check_size(archive: Archive, response: requests.Response) -> None:
    if response.status_code not in (200, 206):
        raise DataError(
            f"{archive.url}: expected a file, found HTTP status {response.status_code} "
            f"{response.reason}; check the address"
        )
    name = "Content-Range" if response.status_code == 206 else "Content-Length"
    total = response.headers.get(name, "").rpartition("/")[2]
    if total.isdigit() and int(total) != archive.size:
        raise DataError(
            f"{archive.url}: expected {archive.size} bytes, the server has {total}: it is another "
            "file; name another server"
        )


def _tag(response: requests.Response) -> str:
    """Return a value for If-Range, which accepts no weak ETag; "" if the server sends none."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _append(archive: Archive, part: _Part, response: requests.Response, progress: Progress) -> None:
    done = part.size
    progress(done)
    with part.path.open("ab") as file:
        for chunk in response.iter_content(_CHUNK):
            done += file.write(chunk[: archive.size - done])
            progress(done)


def _cause(error: BaseException) -> str:
    """Return the innermost error: the outer ones only repeat the address."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(error) or type(error).__name__


def verify(archive: Archive, file: Path, progress: Progress) -> None:
    """Raise DataError if `file` has not the digest of `archive`, and rename it to `<name>.bad`."""
    algorithm, _, wanted = archive.digest.partition(":")
    state, done = hashlib.new(algorithm, usedforsecurity=False), 0
    for chunk in _chunks(file):
        state.update(chunk)
        done += len(chunk)
        progress(done)
    if state.hexdigest() != wanted:
        raise _set_aside(file, f"expected {algorithm} {wanted}, found {state.hexdigest()}")


def _set_aside(file: Path, error: str) -> DataError:
    bad = file.replace(file.with_name(f"{file.name}.bad"))
    return DataError(f"{file}: {error}; it is now {bad.name}: run again to download a new copy")


def safe_members(file: Path) -> list[zipfile.ZipInfo]:
    """Return the members of the zip `file`; raises DataError if one is unsafe to unpack."""
    try:
        with zipfile.ZipFile(file) as source:
            listed = source.infolist()
    except _DAMAGE as error:
        raise _set_aside(file, f"expected a zip archive, found none: {error}") from None
    counts = Counter(member.orig_filename for member in listed)
    for member in listed:
        name = member.orig_filename
        if danger := _danger(member, counts[name]):
            raise DataError(f"{file}: member {name!r} is {danger}; nothing of it was unpacked")
    return listed


def _danger(member: zipfile.ZipInfo, times: int) -> str:
    """Return why a member is unsafe, "" for a plain file or folder below the target."""
    name, kind = member.orig_filename, stat.S_IFMT(member.external_attr >> 16)
    path, methods = PureWindowsPath(name), (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    dangers = {
        "an absolute path": path.anchor,  # of "/etc", "C:x" and "//host"
        "a path out of its folder": ".." in path.parts,
        "not a portable path": not name or "\0" in name or "\\" in name,
        # 0: packed on a system without file kinds
        "neither a file nor a folder": kind not in (0, stat.S_IFREG, stat.S_IFDIR),
        "neither stored nor deflated": member.compress_type not in methods,
        "not the only one of its name": times > 1,
    }
    return next((danger for danger, applies in dangers.items() if applies), "")


def unpack(file: Path, listed: Sequence[zipfile.ZipInfo], folder: Path, progress: Progress) -> None:
    """Unpack the members `listed` of the zip `file` below `folder`, each atomically.

    Keeps files with the same content, and writes no more than a member's declared size. Raises
    DataError if a file with other content is in the way or a member is damaged.
    """
    done = 0
    with zipfile.ZipFile(file) as source:
        for member in listed:
            target = folder / member.filename
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            elif not target.exists():
                _unpack_member(source, member, target)
            elif _size(target) != member.file_size or _crc(target) != member.CRC:
                raise DataError(f"{target}: differs from {file}; move it away and run again")
            done += member.file_size
            progress(done)


def _unpack_member(source: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    try:
        with atomic(target) as partial:
            with source.open(member) as packed, partial.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, _CHUNK)
            if _size(partial) != member.file_size:
                raise EOFError(f"expected {member.file_size} bytes, found {_size(partial)}")
    except _DAMAGE as error:
        message = f"member {member.filename!r} is damaged: {error}"
        raise _set_aside(Path(str(source.filename)), message) from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _crc(path: Path) -> int:
    return reduce(lambda crc, chunk: zlib.crc32(chunk, crc), _chunks(path), 0)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
