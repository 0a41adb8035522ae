"""What is compared with what? The baseline, control and upper bound of what is distilled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from datastill.errors import DataError
from datastill.evaluation.bootstrap import Matches
from datastill.report.paper import Numbers

T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """One trained and evaluated row.

    role        "supervised" or "distilled"
    teacher     of a distilled row: what annotated its unlabelled set
    backbone    ours, such as "small"
    iterations  at the paper's scale, such as 130000 or 360000
    metrics     content of metrics/<row>.json: "ap" ... in percent, "interval" [low, high]
    matches     its detections on the validation images, for paired intervals
    ablation    where it departs from the paper's method
    all_views   its detections through all views, where it was tested so
    seeds       what it is the mean of, where it is pooled
    """

    row: str
    role: str
    labelled: str
    unlabelled: str | None
    teacher: str | None
    backbone: str
    iterations: int
    seed: int
    metrics: Mapping[str, Any]
    matches: Matches
    ablation: Mapping[str, Any] = field(default_factory=dict)
    all_views: Matches | None = None
    seeds: tuple[Result, ...] = ()


class Training(NamedTuple):
    """What the results of one line of a table share; they differ in their seed alone.

    round  1 for the student of a supervised teacher, 2 for a student's student
    """

    role: str
    labelled: str
    unlabelled: str | None
    backbone: str
    iterations: int
    round: int = 1

    @property
    def setting(self) -> tuple[str, str | None]:
        return self.labelled, self.unlabelled

    @property
    def key(self) -> tuple[str, str | None, str, int]:
        """What the paper's numbers are found by."""
        return self.labelled, self.unlabelled, self.backbone, self.iterations


Lines = Mapping[Training, Sequence[Result]]


@dataclass(frozen=True)
class Comparison:
    """The trainings of one setting and backbone: a baseline and what is compared with it.

    controls   supervised on the labelled set for as many iterations as a distilled training
    upper      supervised on all the images with labels, for the baseline's iterations
    """

    baseline: Training
    controls: Sequence[Training]
    distilled: Sequence[Training]
    upper: Training | None

    def roles(self) -> list[tuple[str, Training]]:
        """Return the lines of the table in order, each with the role it plays here."""
        return [
            ("supervised", self.baseline),
            *(("control", training) for training in self.controls),
            *(("distilled", training) for training in self.distilled),
            *(("upper bound", training) for training in [self.upper] if training),
        ]

    def control_of(self, distilled: Training) -> Training | None:
        """Return the control that trained as long as `distilled`."""
        return _first(t for t in self.controls if t.iterations == distilled.iterations)


def gather(results: Sequence[Result]) -> Lines:
    """Group results into lines, in order of appearance; rows with an ablation are left out.

    Raises DataError where role and unlabelled set disagree or one seed comes twice.
    """
    lines: dict[Training, list[Result]] = {}
    rows = {result.row: result for result in results}
    for result in results:
        _check_role(result)
        if result.ablation:
            continue
        training = Training(
            result.role, result.labelled, result.unlabelled, result.backbone, result.iterations,
            _round(result, rows),
        )  # fmt: skip
        twin = _first(r for r in lines.get(training, []) if r.seed == result.seed)
        if twin:
            raise seed_twice(twin, result)
        lines.setdefault(training, []).append(result)
    return lines


def seed_twice(one: Result, other: Result) -> DataError:
    """Return what is wrong with two results of one training that have the same seed."""
    return DataError(
        f"rows {one.row} and {other.row}: one line of the table needs different seeds, "
        f"found {other.seed} twice"
    )


def _round(result: Result, rows: Mapping[str, Result]) -> int:
    """Return how many rows with a teacher stand in the line of teachers that ends with `result`."""
    before = rows.get(result.teacher or "")
    return 1 + (_round(before, rows) if before and before.teacher else 0)


def _check_role(result: Result) -> None:
    expected = "supervised" if result.unlabelled is None else "distilled"
    if result.role != expected:
        raise DataError(
            f"row {result.row}: expected role {expected!r} with unlabelled set "
            f"{result.unlabelled!r}, found {result.role!r}"
        )


def sections(
    lines: Lines, unions: Mapping[str, frozenset[str]], paper: Numbers
) -> list[list[Comparison]]:
    """Return the comparisons of every setting, one per backbone; all in order of appearance.

    Raises DataError where a setting has no baseline.
    """
    distilled = [training for training in lines if training.role == "distilled"]
    settings = dict.fromkeys(training.setting for training in distilled)
    pairs = dict.fromkeys((t.setting, t.backbone) for t in distilled)
    return [
        [_compare(lines, pair, unions, paper) for pair in pairs if pair[0] == setting]
        for setting in settings
    ]


def _compare(
    lines: Lines,
    pair: tuple[tuple[str, str | None], str],
    unions: Mapping[str, frozenset[str]],
    paper: Numbers,
) -> Comparison:
    setting, backbone = pair
    same = sorted((t for t in lines if t.backbone == backbone), key=lambda t: t.iterations)
    distilled = [t for t in same if t.setting == setting]
    supervised = [t for t in same if t.setting == (setting[0], None)]
    if not supervised:
        raise DataError(_without_baseline(lines[distilled[0]][0]))
    # the paper's own length, where there is a choice; else the shortest
    baseline = min(supervised, key=lambda t: (not paper.of(t.key), t.iterations))
    lengths = {t.iterations for t in distilled} - {baseline.iterations}
    return Comparison(
        baseline,
        [t for t in supervised if t.iterations in lengths],
        distilled,
        _upper(same, {name for name, parts in unions.items() if parts == {*setting}}, baseline),
    )


def _upper(same: Sequence[Training], names: set[str], baseline: Training) -> Training | None:
    length = baseline.iterations
    uppers = (t for t in same if t.setting[1] is None and t.labelled in names)
    return _first(t for t in uppers if t.iterations == length)


def _without_baseline(result: Result) -> str:
    return (
        f"row {result.row}: expected a baseline, supervised on {result.labelled} with backbone "
        f"{result.backbone}, among the results, found none; evaluate its teacher {result.teacher}"
    )


def _first(found: Iterable[T]) -> T | None:
    return next(iter(found), None)
