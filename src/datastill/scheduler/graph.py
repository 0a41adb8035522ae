"""Which stages are there, which wait for which, and which are out of date: as DVC says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datastill.errors import DatastillError

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
_NODE = re.compile(r'^"(?P<name>[^"]+)";$')
_EDGE = re.compile(r'^"(?P<before>[^"]+)" -> "(?P<after>[^"]+)";$')


@dataclass(frozen=True)
class Graph:
    """The stages of one dvc.yaml, in its order.

    waits  stage: those that it waits for
    stale  those that are out of date by themselves; what follows them may become so
    """

    waits: Mapping[str, frozenset[str]]
    stale: frozenset[str]

    def followers(self, name: str) -> set[str]:
        """Return all stages that wait for `name`, or for one that does."""
        found: set[str] = set()
        new = {name}
        while new:
            new = {stage for stage, before in self.waits.items() if before & new} - found
            found |= new
        return found

    def order(self) -> list[str]:
        """Return the stages with those first that most others wait for."""
        return sorted(self.waits, key=lambda name: -len(self.followers(name)))


def read_graph(dvc_yaml: Path) -> Graph:
    """Return the stages of `dvc_yaml`; raises DatastillError with DVC's words where it cannot."""
    lines = _ask("dag", "--dot", str(dvc_yaml)).splitlines()
    nodes = [match["name"] for match in map(_NODE.match, lines) if match]
    edges = [(match["before"], match["after"]) for match in map(_EDGE.match, lines) if match]
    waits = {name: frozenset(b for b, after in edges if after == name) for name in nodes}
    status: dict[str, Any] = json.loads(_ask("status", "--json", str(dvc_yaml)))
    return Graph(waits, frozenset(status) & frozenset(nodes))


def _ask(*arguments: str) -> str:
    answer = subprocess.run([*DVC, *arguments], capture_output=True, text=True)
    if answer.returncode:
        raise DatastillError(f"dvc {' '.join(arguments)} fails: {answer.stderr.strip()}")
    return answer.stdout
