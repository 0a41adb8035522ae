"""Command `trace`: where a number in a table comes from, back to the source of the images."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from datastill.errors import DataError
from datastill.lineage.chain import Chain, Node
from datastill.lineage.dvc_lock import File, Lock, Stage
from datastill.lineage.table_rows import traced
from datastill.lineage.trace_text import to_text
from datastill.lineage.verify import Verdict, verify, verify_images
from datastill.project.profile import Profile, params_path


def run(profile: Profile, what: str, check: bool, as_json: bool) -> tuple[str, bool]:
    """Return the chain of `what`, and whether it holds: nothing contradicts, nothing differs.

    `what` is a row, a table of the profile or one of its lines: results/seeds/table1.csv:co-35.
    """
    lock = Lock(params_path(profile.params.profile).with_name("dvc.lock"))
    chain = Chain(profile, lock)
    table, _, name = what.partition(":")
    nodes = (
        traced(chain, _written_by(lock, _inside(profile, table)), _inside(profile, table), name)
        if table.endswith(".csv")
        else [chain.result(what)]
    )
    verdicts = _verified(profile, nodes) if check else None
    wrong = [verdict for verdict in verdicts or [] if verdict.state == "differs"]
    text = (
        json.dumps(_plain(what, nodes, chain.breaks, verdicts), indent=2)
        if as_json
        else to_text(nodes, chain.breaks, verdicts)
    )
    return text, not (chain.breaks or wrong)


def _inside(profile: Profile, table: str) -> Path:
    path = profile.results / Path(table).name
    if Path(table).resolve() != path.resolve():
        raise DataError(f"{table}: expected a table of a profile, such as {path}")
    return path


def _written_by(lock: Lock, path: Path) -> Stage:
    if not path.is_file():
        raise DataError(f"{path}: no such file; `datastill tables` writes it")
    return lock.writer(path.as_posix())


def _verified(profile: Profile, nodes: Sequence[Node]) -> list[Verdict]:
    verdicts = verify((file for node in nodes for file in _files(node)), _cache())
    if profile.manifest.is_file():
        verdicts += verify_images(File(profile.manifest.as_posix(), ""), profile.images)
    return verdicts


def _files(node: Node) -> Iterator[File]:
    yield from node.files
    for source in node.sources.values():
        yield from _files(source)


def _cache() -> Path:
    """Return DVC's cache, wherever its settings say it is."""
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    answer = subprocess.run(command, capture_output=True, text=True)
    return Path(answer.stdout.strip() if answer.returncode == 0 else ".dvc/cache")


def _plain(
    what: str, nodes: Sequence[Node], breaks: Sequence[str], verdicts: list[Verdict] | None
) -> dict[str, object]:
    return {
        "asked": what,
        "chains": [asdict(node) for node in nodes],
        "breaks": list(breaks),
        "verified": None if verdicts is None else [_verdict(verdict) for verdict in verdicts],
    }


def _verdict(verdict: Verdict) -> dict[str, str]:
    return {
        "path": verdict.file.path,
        "where": verdict.where,
        "state": verdict.state,
        "found": verdict.found,
    }
