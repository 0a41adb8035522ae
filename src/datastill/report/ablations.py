"""What is it that helps? Tables 2 and 3, figures 5 and 6 of the paper, and what it did not ask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from datastill.errors import DataError
from datastill.evaluation.bootstrap import interval
from datastill.report.grouping import Result
from datastill.report.multiple_testing import judge, p_value
from datastill.report.paper import METRICS, Key, numbers, published
from datastill.report.pooling import drawn, spread, tested
from datastill.report.seed_variance import Chance, chance

COLUMNS = (
    "table", "row", "role", "labelled", "unlabelled", "teacher", "ablation", "backbone",
    "iterations", "seed", "test_views", "x", *METRICS[:1], "ap_low", "ap_high", *METRICS[1:],
    "over", "gain", "gain_low", "gain_high", "gain_p", "gain_verdict",
    "control", "control_gain", "control_gain_low", "control_gain_high", "control_gain_p",
    "control_gain_verdict",
    "paper_ap", "paper_gain", "seeds", "ap_sd", "rows",
)  # fmt: skip
WORDS = ("table", "row", "role", "labelled", "unlabelled", "teacher", "ablation", "backbone",
         "over", "gain_verdict", "control", "control_gain_verdict", "rows")  # fmt: skip
COUNTS = ("iterations", "seed", "test_views", "seeds")

Values = dict[str, Any]  # some columns of a line


@dataclass(frozen=True)
class Line:
    """A result in a table, what it is compared with, and what the paper has there.

    views    through which it was tested
    over     whatever differs from it in what the table is about, tested through one
    control  supervised on the same labels for as many iterations
    x        where a figure puts it
    """

    result: Result
    over: Result | None = None
    control: Result | None = None
    x: float | None = None
    paper: Mapping[str, float | None] | None = None
    views: int = 1


def ablation_table(name: str, results: Sequence[Result], resamples: int = 1000) -> pd.DataFrame:
    """Return the table `name` of TABLES, a line per result; numbers in percent.

    Of a figure, lines of role "paper" hold the points that the paper has. A line of several seeds
    is the mean of the rows that it names last, `ap_sd` their standard deviation.

    Intervals (95 %) are over the validation images and gains paired over them, with what other
    seeds would give where a line has several; p-values are corrected for all gains of the table
    (Holm), and by them a gain is told from none. What does not apply is NaN. Raises DataError where
    the rows that it is about are missing.
    """
    lines = list(TABLES[name](results))
    told = {line.result.row: line.result for line in lines}
    luck = chance([seed.metrics["ap"] for seed in result.seeds] for result in told.values())
    rows = [_described(name, line) | _compared(line, luck, resamples) for line in lines]
    judge(rows, resamples)
    kinds = {name: float for name in COLUMNS if name not in WORDS + COUNTS}
    table = pd.DataFrame([*rows, *_papers(name)], columns=list(COLUMNS))
    return table.astype(kinds | dict.fromkeys(COUNTS, "Int64"))


def iterations(results: Sequence[Result]) -> Iterator[Line]:
    """Yield table 2: supervised and distilled by iterations, each pair trained equally long."""
    plain = [r for r in results if not r.ablation]
    students = _largest(plain, lambda r: (r.labelled, r.unlabelled, r.teacher))
    if len({r.iterations for r in students}) < 2:
        raise DataError("table 2: expected a student of several iterations, found none")
    baseline = _baseline(results, students[0])
    lengths = {baseline.iterations, *(r.iterations for r in students)}
    supervised = _supervised(results, students[0])
    controls = {length: r for length, r in supervised.items() if length in lengths}
    paper = numbers(published("table2_iterations"), "resnet50")
    for result in sorted(controls.values(), key=lambda r: r.iterations):
        over = None if result is baseline else baseline
        yield Line(result, over, None, result.iterations, paper.of(_key(result)))
    for result in sorted(students, key=lambda r: r.iterations):
        control = controls.get(result.iterations)
        yield Line(result, baseline, control, result.iterations, paper.of(_key(result)))


def _key(result: Result) -> Key:
    return result.labelled, result.unlabelled, result.backbone, result.iterations


def views(results: Sequence[Result]) -> Iterator[Line]:
    """Yield table 3: what is tested with all views, beside itself tested with one."""
    asked = [r for r in results if r.metrics.get("with_views")]
    if not asked:
        raise DataError("table 3: expected rows in evaluate.with_views, found none tested so")
    paper = published("table3_test_time_augmentation")
    for result in asked:
        theirs = paper[
            (paper["labelled"] == result.labelled)
            & (paper["unlabelled"].fillna("") == (result.unlabelled or ""))
            & (paper["backbone"] == "resnet50")
        ]
        ap = dict(zip(theirs["test_views"], theirs["ap"], strict=True)) if _usual(result) else {}
        many = int(result.metrics["with_views"]["views"])
        yield Line(result, paper={"ap": ap.get(1)})
        yield Line(
            result,
            result,  # through one view
            paper={"ap": ap.get(18), "gain": _less(ap.get(18), ap.get(1))},
            views=many,
        )


def fractions(results: Sequence[Result]) -> Iterator[Line]:
    """Yield figure 5: AP by the fraction of the unlabelled images, the supervised row at 0."""
    asked = [r for r in results if "fraction" in r.ablation]
    if not asked:
        raise DataError("figure 5: expected rows with ablation.fraction, found none")
    students = _largest(asked, lambda r: (r.labelled, r.unlabelled, r.teacher))
    longest = max(students, key=lambda r: r.iterations)
    alone = round(longest.iterations / (1 + longest.ablation["fraction"]))
    controls = _supervised(results, students[0])
    if alone not in controls:
        raise DataError(f"figure 5: expected {students[0].labelled} for {alone} iterations as 0")
    figure = published("figure5_unlabelled_fraction")
    paper = dict(zip(figure["fraction"], figure["ap"], strict=True))
    yield Line(controls[alone], x=0.0, paper={"ap": paper[0.0]})
    for result in sorted(students, key=lambda r: float(r.ablation["fraction"])):
        x = float(result.ablation["fraction"])
        theirs = {"ap": paper.get(x), "gain": _less(paper.get(x), paper[0.0])}
        yield Line(result, controls[alone], controls.get(result.iterations), x, theirs)


def teachers(results: Sequence[Result]) -> Iterator[Line]:
    """Yield figure 6: the same student by the AP that its teacher has as it annotates."""
    known = {r.row: r for r in results}
    asked = [r for r in results if r.teacher in known and set(r.ablation) <= {"views"}]
    students = _largest(asked, lambda r: (r.labelled, r.unlabelled, r.backbone, r.iterations))
    if len({r.teacher for r in students}) < 2:
        raise DataError("figure 6: expected one student of several teachers, found none")
    control = _supervised(results, students[0]).get(students[0].iterations)
    placed = sorted((_as_it_annotates(r, known[str(r.teacher)]), r.row, r) for r in students)
    worst = placed[0][2]
    for x, _, result in placed:
        yield Line(result, None if result is worst else worst, control, x)


def _as_it_annotates(student: Result, teacher: Result) -> float:
    many = None if "views" in student.ablation else teacher.metrics.get("with_views")
    return float((many or teacher.metrics)["ap"])


def beyond(results: Sequence[Result]) -> Iterator[Line]:
    """Yield what the paper did not ask: each departure from its method beside the method."""
    odd = {"fraction", "labelled_share"}
    asked = [r for r in results if r.ablation and not odd & set(r.ablation) and r.unlabelled]
    students = _largest(asked, lambda r: (r.labelled, r.unlabelled, r.iterations))
    plain = [r for r in results if not r.ablation and students and _alike(r, students[0])]
    if not plain:
        raise DataError("beyond: expected rows with an ablation beside one without, found none")
    # of several teachers, the one that most departures share
    method = max(plain, key=lambda r: sum(s.teacher == r.teacher for s in students))
    control = _supervised(results, method).get(method.iterations)
    if control:
        yield Line(control)
    yield Line(method, control, control)
    for result in students:
        yield Line(result, method, control)


TABLES: Mapping[str, Callable[[Sequence[Result]], Iterator[Line]]] = {
    "table2": iterations,
    "table3": views,
    "figure5": fractions,
    "figure6": teachers,
    "beyond": beyond,
}


FIGURES = {  # of the paper: where its points are, that need not be at ours
    "figure5": ("figure5_unlabelled_fraction", "fraction", "ap"),
    "figure6": ("figure6_teacher_quality", "teacher_ap", "student_ap"),
}


def _papers(name: str) -> Iterator[Values]:
    if name in FIGURES:
        figure, x, ap = FIGURES[name]
        for point in published(figure).to_dict("records"):
            told = {"x": point[x], "paper_ap": point[ap]}
            yield {"table": name, "row": "paper", "role": "paper", **told}


def _largest(results: Sequence[Result], key: Callable[[Result], Any]) -> list[Result]:
    """Return the largest group of students that have the same `key`."""
    groups: dict[Any, list[Result]] = defaultdict(list)
    for result in results:
        if result.unlabelled:
            groups[key(result)].append(result)
    return max(groups.values(), key=len, default=[])


def _supervised(results: Sequence[Result], student: Result) -> dict[int, Result]:
    """Return what was trained on the labels of `student` alone, by iterations."""
    return {
        r.iterations: r
        for r in results
        if not (r.unlabelled or r.ablation)
        and (r.labelled, r.backbone) == (student.labelled, student.backbone)
    }


def _baseline(results: Sequence[Result], student: Result) -> Result:
    for result in results:
        if result.row == student.teacher:
            return result
    raise DataError(f"row {student.row}: expected its teacher {student.teacher} among the results")


def _alike(one: Result, other: Result) -> bool:
    facts = [(r.labelled, r.unlabelled, r.backbone, r.iterations) for r in (one, other)]
    return facts[0] == facts[1]


def _usual(result: Result) -> bool:
    return not result.ablation and result.iterations == (360_000 if result.unlabelled else 130_000)


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _described(name: str, line: Line) -> Values:
    result = line.result
    metrics = tested(result, line.views)
    low, high = metrics.get("interval") or (None, None)
    theirs, seeds = line.paper or {}, result.seeds or (result,)
    return {
        "table": name,
        "row": result.row,
        "role": result.role,
        "labelled": result.labelled,
        "unlabelled": result.unlabelled,
        "teacher": result.teacher,
        "ablation": ", ".join(f"{key} {value}" for key, value in result.ablation.items()),
        "backbone": result.backbone,
        "iterations": result.iterations,
        "seed": result.seed if len(seeds) == 1 else None,
        "test_views": line.views,
        "x": line.x,
        **{metric: metrics.get(metric) for metric in METRICS},  # val may have none of a size
        "ap_low": low,
        "ap_high": high,
        "paper_ap": theirs.get("ap"),
        "paper_gain": theirs.get("gain"),
        "seeds": len(seeds),
        "rows": " ".join(seed.row for seed in seeds),
    }


def _compared(line: Line, luck: Chance, resamples: int) -> Values:
    sample = drawn(line.result, line.views, resamples)
    values = spread(line.result, line.views, sample) if len(line.result.seeds) > 1 else {}
    for name, role, other in (
        ("gain", "over", line.over),
        ("control_gain", "control", line.control),
    ):
        if other is not None:
            differences = sample - drawn(other, 1, resamples)
            if other is not line.result:  # else one model, tested in two ways
                before, after = (max(1, len(each.seeds)) for each in (other, line.result))
                differences += luck.of_difference(before, after, resamples)
            low, high = interval(differences)
            values |= {
                role: other.row,
                name: tested(line.result, line.views)["ap"] - other.metrics["ap"],
                f"{name}_low": low,
                f"{name}_high": high,
                f"{name}_p": p_value(differences),
            }
    return values
