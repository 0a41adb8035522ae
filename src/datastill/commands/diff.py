"""Command `check --against`: the values that moved since a commit's results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from datastill.commands.tolerances import seed_profile, variance_of
from datastill.errors import DataError
from datastill.evaluation.regression import ROUNDING
from datastill.project.git import git
from datastill.project.loading import load_expected
from datastill.project.profile import Profile
from datastill.project.records import parse_metrics
from datastill.stages.tables import read_metrics

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
Metrics = Mapping[str, Mapping[str, Any]]  # row: metric: value


@dataclass(frozen=True)
class Move:
    """A value before and now; None if not measured."""

    row: str
    metric: str
    before: float | None
    now: float | None
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether it is within chance; a value no longer measured fails, a new one does not."""
        if self.before is None or self.now is None:
            return self.before is None
        return abs(self.now - self.before) <= self.tolerance + ROUNDING


def run(profile: Profile, revision: str, by: str | None = None) -> tuple[str, bool]:
    """Return a line per value that moved since `revision`, and whether all are within chance.

    Tolerances are those of expected.yaml and, for values that it does not name, from the seeds of
    the profile `by`, by default its own. Nothing is checked out.
    """
    before = _results_at(profile, revision)
    rows = [row for row in profile.params.rows() if profile.metrics(row).is_file()]
    now = {row: read_metrics(profile, row) for row in rows}
    tolerances = _tolerances(profile, by, [*before.items(), *now.items()])
    moves = [
        Move(row, name, *values, tolerances[row, name])
        for row in dict.fromkeys([*now, *before])
        for name in NAMES
        if (values := (before.get(row, {}).get(name), now.get(row, {}).get(name))) != (None, None)
    ]
    moved = [move for move in moves if move.before != move.now]
    failed = [move for move in moved if not move.ok]
    head = f"{'':5}{'row':28}{'metric':12}{revision[:12]:>12}{'now':>10}{'moved':>9}  of tolerance"
    lines = [head, *map(_line, moved)] if moved else []
    verdict = f"{len(moved)} of {len(moves)} values moved, {len(failed)} beyond their tolerance"
    return "\n".join([*lines, verdict]), not failed


def _results_at(profile: Profile, revision: str) -> Metrics:
    folder = profile.metrics("row").parent.as_posix()
    listed = git("ls-tree", "-z", "--name-only", revision, f"{folder}/", strict=True)
    paths = [PurePosixPath(p) for p in listed.decode().split("\0") if p.endswith(".json")]
    if not paths:
        raise DataError(f"{revision} has no results in {folder}")
    texts = {p: git("show", f"{revision}:./{p}", strict=True) for p in paths}
    return {p.stem: parse_metrics(text, f"{revision}:{p}") for p, text in texts.items()}


def _tolerances(
    profile: Profile, by: str | None, results: Sequence[tuple[str, Mapping[str, Any]]]
) -> dict[tuple[str, str], float]:
    seeds = seed_profile(profile, by)
    known = [name for name in NAMES if any(m.get(name) is not None for _, m in results)]
    by_metric = {name: variance_of(seeds, name).tolerance for name in known}
    tolerances = {(row, name): by_metric[name] for row, _ in results for name in known}
    path = profile.results / "expected.yaml"
    expected = load_expected(path).values if path.is_file() else {}
    for row, values in expected.items():
        tolerances |= {(row, name): value.tolerance for name, value in values.items()}
    return tolerances


def _line(move: Move) -> str:
    before, now = ("none" if v is None else f"{v:.2f}" for v in (move.before, move.now))
    mark = "ok" if move.ok else "FAIL"
    line = f"{mark:5}{move.row:28}{move.metric:12}{before:>12}{now:>10}"
    if move.before is None or move.now is None:
        return line
    difference = move.now - move.before
    return f"{line}{difference:+9.2f}  {abs(difference) / move.tolerance:.2f}"
