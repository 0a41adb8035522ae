"""Command `trace`: the origin of a number in a table, back to the source of the images."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from datastill.errors import DataError
from datastill.lineage.chain import Chain, Node
from datastill.lineage.dvc_lock import File, Lock, recorded
from datastill.lineage.table_rows import traced
from datastill.lineage.trace_text import to_text
from datastill.lineage.verify import Verdict, image_files, verify
from datastill.project.profile import Profile, params_path


def run(profile: Profile, target: str, check: bool, as_json: bool) -> tuple[str, bool]:
    """Return the chain of `target`, and whether it holds: no contradiction, no difference.

    `target` is a row, a table of the profile or a line of one: results/seeds/table1.csv:co-35.
    """
    lock = Lock(params_path(profile.params.profile).with_name("dvc.lock"))
    table = target.partition(":")[0]
    records = partial(recorded, lock.path, table if table.endswith(".csv") else "")
    with records():
        chain = Chain(profile, lock)
        nodes = _chains(profile, chain, lock, target)
    breaks = list(dict.fromkeys(chain.breaks))
    verdicts = _verified(profile, nodes) if check else None
    holds = not breaks and all(verdict.state != "differs" for verdict in verdicts or [])
    with records():
        if as_json:
            return _as_json(target, nodes, breaks, verdicts), holds
        return to_text(nodes, breaks, verdicts, sys.stdout.isatty()), holds


def _chains(profile: Profile, chain: Chain, lock: Lock, target: str) -> list[Node]:
    table, _, name = target.partition(":")
    if not table.endswith(".csv"):
        return [chain.result(target)]
    path = _table(profile, table)
    return traced(chain, lock.writer(path.as_posix()), path, name)


def _as_json(
    target: str, nodes: Sequence[Node], breaks: Sequence[str], verdicts: Sequence[Verdict] | None
) -> str:
    verified = [
        {"path": v.file.path, "where": v.where, "state": v.state, "found": v.difference}
        for v in verdicts or []
    ]
    report = {
        "asked": target,
        "chains": [asdict(node) for node in nodes],
        "breaks": breaks,
        "verified": None if verdicts is None else verified,
    }
    return json.dumps(report, indent=2)


def _table(profile: Profile, table: str) -> Path:
    path = profile.results / Path(table).name
    if Path(table).resolve() != path.resolve():
        raise DataError(f"{table}: expected a table of a profile, such as {path}")
    if not path.is_file():
        raise DataError(f"{path}: no such file; `datastill tables` writes it")
    return path


def _verified(profile: Profile, nodes: Sequence[Node]) -> list[Verdict]:
    files = [file for node in nodes for file in _files(node)]
    if profile.manifest.is_file():
        files += image_files(profile.manifest, profile.images)
    dvc = [sys.executable, "-m", "dvc", "cache", "dir"]  # wherever DVC's settings put it
    answer = subprocess.run(dvc, capture_output=True, text=True)
    return verify(files, Path(answer.stdout.strip() if not answer.returncode else ".dvc/cache"))


def _files(node: Node) -> Iterator[File]:
    yield from node.files
    for source in node.sources.values():
        yield from _files(source)
