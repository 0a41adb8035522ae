"""Archives from the web: downloaded, verified, unpacked; each step goes on where it was killed."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import stat
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import requests

from datastill.errors import DataError
from datastill.io import atomic

_log = logging.getLogger(__name__)

_CHUNK = 2**16  # bytes
_PAUSES = (1, 2, 4, 8, 16)  # seconds before another try; counted anew once more bytes have come
_TIMEOUT = (10, 60)  # seconds to connect, seconds without a byte
_BUSY = {408, 429, 500, 502, 503, 504}  # HTTP statuses that pass
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)

Progress = Callable[[int], None]  # told how many bytes are done, those of an earlier run included


@dataclass(frozen=True)
class Archive:
    """A zip archive on the web.

    size    in bytes
    digest  "md5:<hexadecimal>", or another algorithm of hashlib; None where nobody published one
    """

    url: str
    size: int
    digest: str | None = None

    @property
    def name(self) -> str:
        """The file name."""
        return self.url.rsplit("/", 1)[-1]


class _Part:
    """What has come of a file, and the tag that the server gave to the file's content."""

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
        """Ask for the rest, or for the whole if the file is no longer the one of the tag."""
        headers = {"Accept-Encoding": "identity"}  # a range counts the file's own bytes
        if self.size:
            headers["Range"] = f"bytes={self.size}-"
        if self.size and self.tag:
            headers["If-Range"] = self.tag
        return headers


def bytes_there(archive: Archive, folder: Path) -> int:
    """Return how many bytes of `archive` are in `folder`, perhaps only in part."""
    file = folder / archive.name
    return _size(file) or _Part(file).size


def download(archive: Archive, folder: Path, progress: Progress) -> Path:
    """Download `archive` into `folder` unless it is there, and return its path.

    Goes on with the part that an earlier run left if the server still has the same file. Raises
    DataError where the server has no such file or one of another size, or cannot be reached.
    """
    file = folder / archive.name
    if file.exists() and _size(file) != archive.size:
        raise DataError(
            f"{file}: expected {archive.size} bytes, found {_size(file)}; remove it, or rename it "
            f"to {file.name}.partial to download the rest, and run again"
        )
    if file.exists():
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
        trouble = _receive(archive, part, progress)
        if part.size > furthest:
            furthest, pauses = part.size, iter(_PAUSES)
        if part.size < archive.size:
            pause = next(pauses, None)
            if pause is None:
                raise DataError(
                    f"{archive.url}: expected {archive.size} bytes, received {part.size}: "
                    f"{trouble}; see to the connection and run again: it goes on from there"
                )
            _log.warning("%s: %s; trying again in %s s", archive.name, trouble, pause)
            time.sleep(pause)


def _receive(archive: Archive, part: _Part, progress: Progress) -> str:
    """Receive what is missing; return what may have ended it early, which another try may mend."""
    try:
        with requests.get(
            archive.url, headers=part.headers(), stream=True, timeout=_TIMEOUT
        ) as response:
            if response.status_code in _BUSY:
                return f"HTTP status {response.status_code}"
            if response.status_code == 416 or not _continues(part, response):
                part.drop()
                return "the server's file has changed"
            _require_same_size(archive, response)
            if response.status_code == 200:
                part.begin(_tag(response))
            _append(archive, part, response, progress)
    except requests.RequestException as error:
        if isinstance(error, ValueError):  # such as a scheme that is neither http nor https
            raise DataError(f"{archive.url}: no address to download from: {error}") from None
        return _cause(error)
    return "the connection ended early"


def _continues(part: _Part, response: requests.Response) -> bool:
    """Return False for a partial answer that does not continue `part`, the same file from there."""
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    same_file = not part.tag or _tag(response) in ("", part.tag)
    same_place = start is not None and int(start[1]) == part.size
    return response.status_code != 206 or (same_file and same_place)


def _require_same_size(archive: Archive, response: requests.Response) -> None:
    if response.status_code not in (200, 206):
        raise DataError(
            f"{archive.url}: expected a file, found HTTP status {response.status_code} "
            f"{response.reason}; see whether the address is right"
        )
    partial = response.status_code == 206
    total = response.headers.get("Content-Range" if partial else "Content-Length", "")
    total = total.rpartition("/")[2]
    if total.isdigit() and int(total) != archive.size:
        wrong = f"expected {archive.size} bytes, the server has {total}"
        raise DataError(f"{archive.url}: {wrong}: it is another file; name another server")


def _tag(response: requests.Response) -> str:
    """Return what to send as If-Range, which takes no weak ETag; "" where the server has none."""
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
    """Return what was first raised: the errors around it only repeat the address."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(error) or type(error).__name__


def verify(archive: Archive, file: Path, progress: Progress) -> None:
    """Hold `file` to the digest of `archive`, if it has one.

    Raises DataError for another, and renames the file to `<name>.bad` so that no run uses it.
    """
    algorithm, _, wanted = (archive.digest or "").partition(":")
    if not algorithm:
        return
    state, done = hashlib.new(algorithm, usedforsecurity=False), 0
    for chunk in _chunks(file):
        state.update(chunk)
        done += len(chunk)
        progress(done)
    if state.hexdigest() != wanted:
        raise _set_aside(file, f"expected {algorithm} {wanted}, found {state.hexdigest()}")


def _set_aside(file: Path, trouble: str) -> DataError:
    bad = file.replace(file.with_name(f"{file.name}.bad"))
    return DataError(f"{file}: {trouble}; it is now {bad.name}: run again to download it anew")


def members(file: Path) -> list[zipfile.ZipInfo]:
    """Return what the zip `file` holds; raises DataError where a member is unsafe to unpack."""
    try:
        with zipfile.ZipFile(file) as source:
            listed = source.infolist()
    except _DAMAGE as error:
        raise _set_aside(file, f"expected a zip archive, found none: {error}") from None
    seen: set[str] = set()
    for member in listed:
        name = member.orig_filename
        if danger := "a second of its name" if name in seen else _danger(member):
            raise DataError(f"{file}: member {name!r} is {danger}; nothing of it was unpacked")
        seen.add(name)
    return listed


def _danger(member: zipfile.ZipInfo) -> str:
    """Return what is wrong with a member, "" for a plain file or folder below the target."""
    name, kind = member.orig_filename, stat.S_IFMT(member.external_attr >> 16)
    if PureWindowsPath(name).anchor:  # of "/etc", "C:x" and "//host"
        return "an absolute path"
    if ".." in PureWindowsPath(name).parts:
        return "a path out of its folder"
    if not name or "\0" in name or "\\" in name:
        return "no portable path"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):  # 0: packed where files have no kind
        return "neither a file nor a folder"
    return "" if member.compress_type in _METHODS else "neither stored nor deflated"


def unpack(file: Path, listed: Sequence[zipfile.ZipInfo], folder: Path, progress: Progress) -> None:
    """Unpack the members `listed` of the zip `file` below `folder`, every one whole or not at all.

    Keeps what is there with the same content, and writes no more than the size that a member
    declares. Raises DataError where a file of other content is in the way or a member is damaged.
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
        trouble = f"member {member.filename!r} is damaged: {error}"
        raise _set_aside(Path(str(source.filename)), trouble) from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _crc(path: Path) -> int:
    crc = 0
    for chunk in _chunks(path):
        crc = zlib.crc32(chunk, crc)
    return crc


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
