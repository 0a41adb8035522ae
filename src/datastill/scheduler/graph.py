"""The stages of a dvc.yaml, their dependencies, and which are out of date according to DVC."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datastill.errors import DatastillError

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
_UNWRITABLE = re.compile(r"unexpected error - \[Errno \d+\] (.+): '(.+)'$", re.MULTILINE)


@dataclass(frozen=True)
class Graph:
    """The stages of one dvc.yaml, in its order.

    upstream  stage: the stages that it directly depends on
    stale     stages that are out of date themselves; those downstream may become so
    """

    upstream: Mapping[str, frozenset[str]]
    stale: frozenset[str]

    def downstream(self, name: str) -> set[str]:
        """Return all stages that depend on `name`, directly or not."""
        after: set[str] = set()
        while new := {s for s, up in self.upstream.items() if up & {name, *after}} - after:
            after |= new
        return after

    def order(self) -> list[str]:
        """Return the stages, those with the most dependents first."""
        return sorted(self.upstream, key=lambda name: -len(self.downstream(name)))


def read_graph(dvc_yaml: Path) -> Graph:
    """Return the stages of `dvc_yaml`; raises DatastillError with DVC's message if DVC fails."""
    dot = run_dvc("dag", "--dot", str(dvc_yaml))
    nodes = re.findall(r'^"([^"]+)";$', dot, re.MULTILINE)
    edges = re.findall(r'^"([^"]+)" -> "([^"]+)";$', dot, re.MULTILINE)
    upstream = {name: frozenset(up for up, down in edges if down == name) for name in nodes}
    status = json.loads(run_dvc("status", "--json", str(dvc_yaml)))
    return Graph(upstream, frozenset(nodes).intersection(status))


def run_dvc(*arguments: str, folder: Path | None = None) -> str:
    """Return what DVC prints in `folder`, by default here; raises DatastillError if it fails."""
    answer = subprocess.run([*DVC, *arguments], cwd=folder, capture_output=True, text=True)
    if answer.returncode:
        reason, advice = answer.stderr.strip(), ""
        if unwritable := _UNWRITABLE.search(reason):
            reason = f"{unwritable[2]}: {unwritable[1]}"
            advice = "; DVC has to write there, even to list stages: fix permissions"
        if "git repository" in reason.lower():
            advice = "; DVC works in a git repository: `git init` makes this folder one"
        raise DatastillError(f"dvc {' '.join(arguments)} failed: {reason}{advice}")
    return answer.stdout
