"""Results grouped by training run over seeds, and the comparisons of each setting."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, NamedTuple, Self, TypeVar

from datastill.errors import DataError
from datastill.evaluation.bootstrap import Matches
from datastill.evaluation.pixel_errors import PixelErrors
from datastill.report.paper import METRICS, Key, Numbers


@dataclass(frozen=True, kw_only=True)
class TrainedRow:
    """A row of params.yaml.

    iterations  at the paper's scale, such as 130000 or 360000
    teacher     of a distilled row: the row or ensemble that annotated its unlabelled set
    ablation    its departures from the paper's method
    """

    row: str
    labelled: str
    backbone: str
    iterations: int
    seed: int
    unlabelled: str | None = None
    teacher: str | None = None
    ablation: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: Mapping[str, Any], original: Callable[[str], str], **more: Any) -> Self:
        """Return the row of that `spec`, with the `original` of each set: what it redraws."""
        sets = {key: original(spec[key]) for key in ("labelled", "unlabelled") if spec.get(key)}
        return cls(**{**spec, **sets, **more})

    @property
    def key(self) -> Key:
        return self.labelled, self.unlabelled, self.backbone, self.iterations


@dataclass(frozen=True, kw_only=True)
class Result(TrainedRow):
    """A trained and evaluated row, or the mean of several that differ only in their seeds.

    metrics    content of metrics/<row>.json: "ap" ... in percent, "interval" [low, high]
    matches    its detections on the validation images, for paired intervals
    errors     their pixel errors, of keypoints whose metrics have them
    all_views  its detections through all views, if it was tested so
    seeds      the results it is the mean of, if it is pooled
    """

    metrics: Mapping[str, Any]
    matches: Matches
    errors: PixelErrors | None = None
    all_views: Matches | None = None
    seeds: tuple["Result", ...] = ()

    def tested(self, views: int) -> Mapping[str, Any]:
        """Return the metrics through one view or, for more, through all."""
        return self.metrics["with_views"] if views > 1 else self.metrics


Setting = tuple[str, str | None]  # the labelled and the unlabelled set


class Training(NamedTuple):
    """What rows that differ only in their seeds have in common.

    round     1 for the student of a supervised teacher, 2 for a student's student
    ablation  names and values
    teachers  of a distilled row, or of its ensemble; by name if it is not among the rows
    """

    labelled: str
    unlabelled: str | None
    backbone: str
    iterations: int
    round: int = 1
    ablation: tuple[tuple[str, Any], ...] = ()
    teachers: tuple["Training | str", ...] = ()

    @property
    def setting(self) -> Setting:
        return self[:2]

    @property
    def key(self) -> Key:
        return self[:4]

    def __str__(self) -> str:
        sets = "_".join(filter(None, self.setting))
        ablation = "".join(f", {name} {value}" for name, value in self.ablation)
        teachers = f" of {' and '.join(map(str, self.teachers))}" if self.teachers else ""
        return f"{sets} {self.backbone} {self.iterations}{ablation}{teachers}"


R = TypeVar("R", bound=TrainedRow)
Ensembles = Mapping[str, Sequence[str]]  # rows of each ensemble
Results = Mapping[Training, Sequence[Result]]
Comparison = list[tuple[str, Training]]  # roles and training runs, the baseline first


def group_by_seed(
    rows: Sequence[R], ensembles: Ensembles | None = None, *, by_teacher: bool = True
) -> dict[Training, list[R]]:
    """Group rows that differ only in their seeds and their teachers' seeds, in order of appearance.

    With `by_teacher` false, rows with other teachers of the same round join a group too.
    """
    by_name = {row.row: row for row in rows}
    groups: dict[Training, list[R]] = {}
    for row in rows:
        training = _training(row, by_name, ensembles or {})
        key = training if by_teacher else training._replace(teachers=())
        groups.setdefault(key, []).append(row)
    return groups


def _training(row: R, by_name: Mapping[str, R], ensembles: Ensembles) -> Training:
    names = ensembles.get(row.teacher, [row.teacher]) if row.teacher else []
    teachers = [_training(by_name[n], by_name, ensembles) if n in by_name else n for n in names]
    rounds = [each.round for each in teachers if isinstance(each, Training) and each.teachers]
    ablation, by_text = tuple(row.ablation.items()), tuple(sorted(teachers, key=str))
    return Training(*row.key, 1 + max(rounds, default=0), ablation, by_text)


def averaged(
    line: Mapping[str, str], specs: Mapping[str, Mapping[str, Any]], original: Callable[[str], str]
) -> list[str]:
    """Return the rows that a line of table 1 or 4 averages: those of one training run, any seed.

    line   of its CSV; specs  the rows of params.yaml by name; original  what a set redraws
    """
    rows = [TrainedRow.of(spec, original, row=row) for row, spec in specs.items()]
    sets, number = (line["labelled"], line["unlabelled"] or None), int(line.get("round") or 1)
    run = Training(*sets, line["backbone"], int(line["iterations"]), number)
    return [row.row for row in group_by_seed(rows, by_teacher=False).get(run, [])]


def group_by_line(results: Sequence[Result]) -> dict[Training, list[Result]]:
    """Return the results of each line of tables 1 and 4, those with an ablation left out.

    Raises DataError if a training run has one seed twice.
    """
    groups = group_by_seed(results, by_teacher=False)
    groups = {training: group for training, group in groups.items() if not training.ablation}
    _refuse_twins(groups, lambda result: result.seed)
    return groups


def pool_seeds(results: Sequence[Result], ensembles: Ensembles | None = None) -> list[Result]:
    """Return one result per training run, in order of appearance, with the mean of its metrics.

    It and its teacher are named after their first seeds' rows. Raises DataError if a training
    run has one seed and teacher twice.
    """
    groups = group_by_seed(results, ensembles)
    _refuse_twins(groups, lambda result: (result.seed, result.teacher))
    names = {result.row: group[0].row for group in groups.values() for result in group}
    return [
        replace(
            group[0],
            teacher=names.get(group[0].teacher or "", group[0].teacher),
            metrics=_mean([result.metrics for result in group]),
            seeds=tuple(group),
        )
        for group in groups.values()
    ]


def _refuse_twins(groups: Results, identity: Callable[[Result], Hashable]) -> None:
    for group in groups.values():
        first: dict[Hashable, Result] = {}
        for result in group:
            if (twin := first.setdefault(identity(result), result)) is not result:
                raise DataError(
                    f"rows {twin.row} and {result.row}: one line of the table needs different "
                    f"seeds, found {result.seed} twice"
                )


def _mean(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the metrics of one seed as they are, else the mean of those that all seeds have."""
    if len(metrics) == 1:
        return dict(metrics[0])
    shared = [name for name in METRICS if all(each.get(name) is not None for each in metrics)]
    mean: dict[str, Any] = {name: fmean(each[name] for each in metrics) for name in shared}
    if all("with_views" in each for each in metrics):
        views = [each["with_views"] for each in metrics]
        mean["with_views"] = {"views": views[0]["views"]} | _mean(views)
    return mean


def sections(
    results: Results, unions: Mapping[str, frozenset[str]], paper: Numbers
) -> list[list[Comparison]]:
    """Return the comparisons of every setting, one per backbone; all in order of appearance.

    `unions` names the sets that consist of others. Raises DataError if a setting has no
    baseline.
    """
    groups: dict[Setting, list[Comparison]] = {}
    ascending = sorted(results, key=lambda t: t.iterations)
    pairs = dict.fromkeys((t.setting, t.backbone) for t in results if t.unlabelled)
    for setting, backbone in pairs:
        same = {t: results[t] for t in ascending if t.backbone == backbone}
        groups.setdefault(setting, []).append(_compare(same, setting, unions, paper))
    return list(groups.values())


def _compare(
    results: Results, setting: Setting, unions: Mapping[str, frozenset[str]], paper: Numbers
) -> Comparison:
    """Compare the distilled runs of a setting with a baseline supervised on its labelled set.

    Controls are supervised on it for as many iterations as a distilled run, the upper bound on all
    the images with labels, for as many if there is a choice.
    """
    distilled = [t for t in results if t.setting == setting]
    supervised = [t for t in results if t.setting == (setting[0], None)]
    if not supervised:
        student = results[distilled[0]][0]
        raise DataError(
            f"row {student.row}: expected a baseline, supervised on {student.labelled} with "
            f"backbone {student.backbone}, among the results, found none beside its teacher "
            f"{student.teacher}; add such a row to `supervised`, or evaluate it"
        )
    # the paper's own length, if there is a choice; else the shortest
    baseline = min(supervised, key=lambda t: (not paper.has_length(t.key), t.iterations))
    lengths = {t.iterations for t in distilled}
    parts = frozenset[str]().union(*(unions.get(str(name), {str(name)}) for name in setting))
    uppers = [t for t in results if not t.unlabelled and unions.get(t.labelled) == parts]
    uppers = [t for t in uppers if t.iterations in {baseline.iterations, *lengths}]
    uppers.sort(key=lambda t: t.iterations not in lengths)
    return [
        ("supervised", baseline),
        *(("control", t) for t in supervised if t.iterations in lengths - {baseline.iterations}),
        *(("distilled", t) for t in distilled),
        *[("upper bound", t) for t in uppers][:1],
    ]
