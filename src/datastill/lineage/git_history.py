"""Which commit holds the source that a stage ran: DVC's digest of a folder, found again in git."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import PurePosixPath

from datastill.lineage.dvc_lock import FOLDER, File


def folder_digest(members: Mapping[str, str]) -> str:
    """Return DVC's digest of a folder from the MD5 of its files, by their path inside."""
    listed = [{"md5": md5, "relpath": path} for path, md5 in sorted(members.items())]
    return hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest() + FOLDER


class History:
    """The commits of this repository; where there is no git, or no history, nothing is found."""

    def __init__(self) -> None:
        self._md5: dict[str, str] = {}  # of a blob
        self._at: dict[tuple[str, str], str] = {}  # of a path at a commit
        self._found: dict[tuple[File, ...], str] = {}

    def commit_of(self, sources: tuple[File, ...]) -> str:
        """Return a commit at which all `sources` are as recorded, "" where there is none here."""
        if sources not in self._found:
            commits = [commit for source in sources for commit in self._since(source)]
            together = (commit for commit in commits if self._holds(commit, sources))
            self._found[sources] = next(together, "")
        return self._found[sources]

    def _since(self, source: File) -> list[str]:
        """Return the commits that made `source` what it is recorded to be, newest first."""
        commits = _git("log", "--format=%H", "--", source.path).decode().split()
        return [commit for commit in commits if self._holds(commit, (source,))]

    def _holds(self, commit: str, sources: tuple[File, ...]) -> bool:
        return all(self._digest_at(commit, source) == source.md5 for source in sources)

    def _digest_at(self, commit: str, source: File) -> str:
        if (commit, source.path) not in self._at:
            self._at[commit, source.path] = self._computed(commit, source)
        return self._at[commit, source.path]

    def _computed(self, commit: str, source: File) -> str:
        listed = _git("ls-tree", "-r", "-z", commit, "--", source.path).decode().split("\0")
        blobs = {line.partition("\t")[2]: line.split()[2] for line in listed if line}
        root = PurePosixPath(source.path)
        if not source.is_folder:
            return self._md5_of(blobs[source.path]) if source.path in blobs else ""
        inside = {str(PurePosixPath(path).relative_to(root)): oid for path, oid in blobs.items()}
        return folder_digest({path: self._md5_of(oid) for path, oid in inside.items()})

    def _md5_of(self, blob: str) -> str:
        if blob not in self._md5:
            content = _git("cat-file", "blob", blob)
            self._md5[blob] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return self._md5[blob]


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return b""
