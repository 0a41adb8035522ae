"""The commit with the source a stage ran: DVC's digest of a folder, recomputed from git."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import PurePosixPath

from datastill.lineage.dvc_lock import FOLDER, File
from datastill.project.git import git


def folder_digest(members: Mapping[str, str]) -> str:
    """Return DVC's digest of a folder from the MD5 of its files, by their path inside."""
    listed = [{"md5": md5, "relpath": path} for path, md5 in sorted(members.items())]
    return hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest() + FOLDER


def commit_of(sources: tuple[File, ...]) -> str:
    """Return the newest commit at which all `sources` are as recorded.

    "" if this clone has none: without git, in a shallow clone, or for uncommitted code.
    """
    paths = [source.path for source in sources]
    commits = git("log", "--format=%H", "--", *paths).decode().split() if paths else []
    holding = (c for c in commits if all(_digest_at(c, source) == source.md5 for source in sources))
    return next(holding, "")


@cache  # a commit never changes
def _digest_at(commit: str, source: File) -> str:
    listed = git("ls-tree", "-r", "-z", commit, "--", source.path).decode().split("\0")
    blobs = {line.partition("\t")[2]: line.split()[2] for line in listed if line}
    if not source.is_folder:
        return _blob_md5(blobs[source.path]) if source.path in blobs else ""
    inside = {str(PurePosixPath(path).relative_to(source.path)): b for path, b in blobs.items()}
    return folder_digest({path: _blob_md5(blob) for path, blob in inside.items()})


@cache
def _blob_md5(blob: str) -> str:
    return hashlib.md5(git("cat-file", "blob", blob), usedforsecurity=False).hexdigest()
