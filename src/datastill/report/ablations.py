"""Tables 2 and 3, figures 5 and 6 of the paper, and departures from its method."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from operator import attrgetter
from statistics import stdev
from typing import Any

import pandas as pd

from datastill.errors import DataError
from datastill.report.contrasts import (
    Term,
    by_seed,
    differences,
    is_of_views,
    resampled,
    seeds_of,
    value,
)
from datastill.report.grouping import Result
from datastill.report.multiple_testing import add_verdicts, gain_values, noisy_interval
from datastill.report.paper import BACKBONE, METRICS, numbers, published
from datastill.report.render import frame
from datastill.report.seed_variance import OWN, BetweenSeeds, Sampling, gain_variance, seed_variance

COLUMNS = (
    "table", "row", "role", "labelled", "unlabelled", "teacher", "ablation", "backbone",
    "iterations", "seed", "test_views", "x", *METRICS[:1], "ap_low", "ap_high", *METRICS[1:],
    "over", "gain", "gain_low", "gain_high", "gain_p", "gain_verdict",
    "control", "control_gain", "control_gain_low", "control_gain_high", "control_gain_p",
    "control_gain_verdict",
    "paper_ap", "paper_gain", "seeds", "ap_sd", "rows",
    "seed_sd", "seed_degrees", "seed_gain_sd", "seed_gain_degrees",
)  # fmt: skip
OVER = {"gain": "over", "control_gain": "control"}  # the column that names what a gain is over
FACTS = ("row", "labelled", "unlabelled", "teacher", "backbone", "iterations")  # of a result
FIGURES = {  # of the paper, whose points may differ from ours: the file and its columns
    "figure5": ("figure5_unlabelled_fraction", "fraction", "ap"),
    "figure6": ("figure6_teacher_quality", "teacher_ap", "student_ap"),
}

Values = dict[str, Any]  # some columns of a line


@dataclass(frozen=True)
class ComparedResult:
    """A result, what it is compared with, and the paper's numbers.

    over     the result it is compared with, tested through one view
    control  supervised on the same labels for as many iterations; of a student tested through all
             views, its teacher: `control_gain` is then how much more the student gains from them
    x        its position in a figure
    views    number of views it was tested through
    """

    result: Result
    over: Result | None = None
    control: Result | None = None
    x: float | None = None
    paper: Mapping[str, float] = field(default_factory=dict)
    views: int = 1

    def contrasts(self) -> dict[str, list[Term]]:
        """Return the line's gains by column."""
        result, over, control = self.result, self.over, self.control
        contrasts: dict[str, list[Term]] = {}
        if over:
            contrasts["gain"] = [Term(1, result, self.views), Term(-1, over, 1)]
        if control and self.views == 1:
            contrasts["control_gain"] = [Term(1, result, 1), Term(-1, control, 1)]
        elif control:
            of_control = [Term(-1, control, self.views), Term(1, control, 1)]
            contrasts["control_gain"] = [*contrasts["gain"], *of_control]
        return contrasts


def ablation_table(name: str, results: Sequence[Result], sampling: Sampling = OWN) -> pd.DataFrame:
    """Return the table `name` of TABLES, a line per result; numbers in percent.

    Of a figure, lines of role "paper" hold the points that the paper has. A line of several seeds
    is the mean of the rows that it names last, `ap_sd` their standard deviation.

    Intervals and verdicts as in `comparison_table`. What does not apply is NaN. Raises DataError if
    the rows that it is about are missing.
    """
    compared = list(TABLES[name](results))
    between_seeds = _between_seeds(compared, sampling.borrowed)
    lines = [
        _measured(name, c)
        | _compared(c, between_seeds, sampling.resamples)
        | between_seeds.columns()
        for c in compared
    ]
    add_verdicts(lines, sampling.resamples)
    return frame([*lines, *_paper_points(name)], COLUMNS)


def iterations(results: Sequence[Result]) -> Iterator[ComparedResult]:
    """Yield table 2: supervised and distilled by iterations, each pair trained equally long."""
    by_method = [r for r in results if not r.ablation]
    students = _largest_group(by_method, "labelled", "unlabelled", "teacher")
    if len({r.iterations for r in students}) < 2:
        raise DataError(
            "table 2: expected a student trained for several numbers of iterations, found none"
        )
    teacher = students[0].teacher
    baseline = next((r for r in results if r.row == teacher), None)
    if baseline is None:
        raise DataError(f"row {students[0].row}: expected its teacher {teacher} among the results")
    lengths = {baseline.iterations, *(r.iterations for r in students)}
    supervised = _supervised(results, students[0])
    controls = {length: r for length, r in supervised.items() if length in lengths}
    paper = numbers(published("table2_iterations"))
    lines = [*controls.values(), *students]
    for result in sorted(lines, key=lambda r: (bool(r.unlabelled), r.iterations)):
        over = None if result is baseline else baseline
        control = controls.get(result.iterations) if result.unlabelled else None
        yield ComparedResult(result, over, control, result.iterations, paper.of(result.key))


def views(results: Sequence[Result]) -> Iterator[ComparedResult]:
    """Yield table 3: each row tested through all views, beside itself tested through one."""
    tested = [r for r in results if r.metrics.get("with_views")]
    if not tested:
        raise DataError("table 3: expected rows in evaluate.with_views, found none tested so")
    table = published("table3_test_time_augmentation")
    for result in tested:
        lines = table[
            (table["labelled"] == result.labelled)
            & (table["unlabelled"].fillna("") == (result.unlabelled or ""))
            & (table["backbone"] == BACKBONE)
        ]
        by_views = dict(zip(lines["test_views"], lines["ap"], strict=True))
        ap = {} if result.ablation else by_views
        one, every = ap.get(1, nan), ap.get(18, nan)
        gain, count = {"ap": every, "gain": every - one}, int(result.metrics["with_views"]["views"])
        teacher = next((r for r in tested if r.row == result.teacher), None)
        yield ComparedResult(result, paper={"ap": one})
        yield ComparedResult(result, result, teacher, paper=gain, views=count)  # over one view


def fractions(results: Sequence[Result]) -> Iterator[ComparedResult]:
    """Yield figure 5: AP by the fraction of the unlabelled images, the supervised row at 0."""
    of_fractions = [r for r in results if "fraction" in r.ablation]
    if not of_fractions:
        raise DataError("figure 5: expected rows with ablation.fraction, found none")
    students = _largest_group(of_fractions, "labelled", "unlabelled", "teacher")
    longest = max(students, key=lambda r: r.iterations)
    length = round(longest.iterations / (1 + longest.ablation["fraction"]))
    controls = _supervised(results, students[0])
    if length not in controls:
        raise DataError(
            f"figure 5: expected a row supervised on {students[0].labelled} for {length:,} "
            "iterations, the point at fraction 0, found none"
        )
    figure = published("figure5_unlabelled_fraction")
    paper = dict(zip(figure["fraction"], figure["ap"], strict=True))
    yield ComparedResult(controls[length], x=0.0, paper={"ap": paper[0.0]})
    for result in sorted(students, key=lambda r: float(r.ablation["fraction"])):
        ap = paper.get(x := float(result.ablation["fraction"]), nan)
        there, control = {"ap": ap, "gain": ap - paper[0.0]}, controls.get(result.iterations)
        yield ComparedResult(result, controls[length], control, x, there)


def teachers(results: Sequence[Result]) -> Iterator[ComparedResult]:
    """Yield figure 6: the same student by the AP of its teacher, as it annotates."""
    by_row = {r.row: r for r in results}
    taught = [r for r in results if r.teacher in by_row and set(r.ablation) <= {"views"}]
    students = _largest_group(taught, "labelled", "unlabelled", "backbone", "iterations")
    if len({r.teacher for r in students}) < 2:
        raise DataError("figure 6: expected one student of several teachers, found none")
    control = _supervised(results, students[0]).get(students[0].iterations)
    placed = sorted((_teacher_ap(r, by_row[str(r.teacher)]), r.row, r) for r in students)
    worst = placed[0][2]
    for x, _, result in placed:
        yield ComparedResult(result, None if result is worst else worst, control, x)


def _teacher_ap(student: Result, teacher: Result) -> float:
    """Return the teacher's AP through the views that it annotates with, if it was tested so."""
    all_views = None if "views" in student.ablation else teacher.metrics.get("with_views")
    return float((all_views or teacher.metrics)["ap"])


def beyond(results: Sequence[Result]) -> Iterator[ComparedResult]:
    """Yield each departure from the paper's method beside the method."""
    departing = [r for r in results if r.ablation and "fraction" not in r.ablation]  # figure 5's
    students = _largest_group(departing, "labelled", "unlabelled", "iterations")
    by_method = [r for r in results if not r.ablation and students and r.key == students[0].key]
    if not by_method:
        raise DataError("beyond: expected rows with an ablation beside one without, found none")
    # if there are several teachers, the one that most departures share
    method = max(by_method, key=lambda r: sum(s.teacher == r.teacher for s in students))
    control = _supervised(results, method).get(method.iterations)
    if control:
        yield ComparedResult(control)
    yield ComparedResult(method, control, control)
    yield from (ComparedResult(student, method, control) for student in students)


TABLES: Mapping[str, Callable[[Sequence[Result]], Iterator[ComparedResult]]] = {
    "table2": iterations,
    "table3": views,
    "figure5": fractions,
    "figure6": teachers,
    "beyond": beyond,
}


def _paper_points(name: str) -> list[Values]:
    figure, x, ap = FIGURES.get(name, ("", "", ""))
    points = published(figure).to_dict("records") if figure else []
    shared = {"table": name, "row": "paper", "role": "paper"}
    return [{**shared, "x": point[x], "paper_ap": point[ap]} for point in points]


def _largest_group(results: Sequence[Result], *shared: str) -> list[Result]:
    key, students = attrgetter(*shared), [r for r in results if r.unlabelled]
    sizes = Counter(map(key, students))
    return [r for r in students if key(r) == sizes.most_common(1)[0][0]]


def _supervised(results: Sequence[Result], student: Result) -> dict[int, Result]:
    """Return the rows supervised on the labels of `student`, by iterations."""
    sets = student.labelled, student.backbone
    rows = [r for r in results if not (r.unlabelled or r.ablation)]
    return {r.iterations: r for r in rows if (r.labelled, r.backbone) == sets}


def _measured(name: str, compared: ComparedResult) -> Values:
    result = compared.result
    metrics = result.tested(compared.views)
    low, high = metrics.get("interval") or (None, None)
    seeds = result.seeds or (result,)
    return {
        "table": name,
        **{key: getattr(result, key) for key in FACTS},
        "role": "distilled" if result.unlabelled else "supervised",
        "ablation": ", ".join(f"{key} {value}" for key, value in result.ablation.items()),
        "seed": result.seed if len(seeds) == 1 else None,
        "test_views": compared.views,
        "x": compared.x,
        **{metric: metrics.get(metric) for metric in METRICS},  # val may have none of a size
        "ap_low": low,
        "ap_high": high,
        "paper_ap": compared.paper.get("ap"),
        "paper_gain": compared.paper.get("gain"),
        "seeds": len(seeds),
        "rows": " ".join(seed.row for seed in seeds),
    }


def _compared(compared: ComparedResult, between_seeds: BetweenSeeds, resamples: int) -> Values:
    """Return the interval of a line's AP, and its gains."""
    result, views = compared.result, compared.views
    seeds = seeds_of(result)
    noise = between_seeds.ap.of_mean(len(seeds), resamples)
    images, families = resampled(seeds, views, resamples), result.matches.families
    low, high = noisy_interval(images, noise, families, difference=False)
    values: Values = {"ap_low": low, "ap_high": high}
    if len(seeds) > 1:
        values["ap_sd"] = stdev(seed.tested(views)["ap"] for seed in seeds)
    for name, contrast in compared.contrasts().items():
        pairs = max(1, len(by_seed(contrast)))
        # a difference of two gains has twice their variance
        noise = math.sqrt(len(contrast) / 2) * between_seeds.gain.of_mean(pairs, resamples)
        other = compared.over if name == "gain" else compared.control
        values[OVER[name]] = other.row if other else None
        images = differences(contrast, resamples)
        values |= gain_values(name, value(contrast), images, noise, families)
    return values


def _between_seeds(compared: Sequence[ComparedResult], borrowed: BetweenSeeds) -> BetweenSeeds:
    """Return the variance of AP and of the table's gains, borrowed where seeds do not give it."""
    by_row = {
        c.result.row: {s.seed: float(s.metrics["ap"]) for s in seeds_of(c.result)} for c in compared
    }
    ap = seed_variance({row: [*seeds.values()] for row, seeds in by_row.items()})
    gains = [each.contrasts()["gain"] for each in compared if each.over]
    if any(map(is_of_views, gains)):  # by the same models, which chance moves alike
        of_views = seed_variance(dict(enumerate(map(by_seed, gains))))
        return BetweenSeeds(BetweenSeeds(ap).or_borrowed(borrowed).ap, of_views)
    return BetweenSeeds(ap, gain_variance([[*by_row.values()]])).or_borrowed(borrowed)
