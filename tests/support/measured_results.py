"""Results whose numbers can be computed by hand."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from coco_content import person_record

from datastill.coco.format import PERSON, Coco
from datastill.evaluation.bootstrap import bootstrap, interval, match
from datastill.evaluation.coco_ap import evaluate
from datastill.report.grouping import Result
from datastill.report.paper import numbers, published

IMAGES = 20  # with one person each


def person(image_id):
    points = np.column_stack([np.random.default_rng(0).random((17, 2)) * 100, np.full(17, 2)])
    return person_record(image_id, image_id, [0.0, 0.0, 100.0, 100.0], 5000.0, points)


def truth():
    ids = range(1, IMAGES + 1)
    listed = [{"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 200} for i in ids]
    return Coco(listed, [person(i) for i in ids], [PERSON])


def ap_of(images):
    """AP in percent of who finds the people of so many images, and nothing false."""
    return 100 * (100 * len(images) // IMAGES + 1) / 101  # so many of COCO's 101 recalls


@cache
def tested(found):
    """Matches, scores and interval of who finds the people of the images `found`."""
    detections = [{**person(i), "score": 0.9} for i in found]
    matches = match(truth(), detections, "keypoints")
    scores = vars(evaluate(truth(), detections, "keypoints"))
    return matches, scores, interval(bootstrap(matches), matches.families)


@pytest.fixture
def truth_of_20():
    """What the results of these tests are tested on."""
    return truth()


@pytest.fixture
def ap_of_images():
    return ap_of


@pytest.fixture
def result():
    """Build a Result that finds the people of the images `found`; "+" makes it distilled."""

    def build(name, found=range(1, 11), *, iterations=130000, **changes):
        labelled, _, unlabelled = name.partition("+")
        matches, scores, between = tested(tuple(found))
        fields = {
            "row": f"{name} {iterations}",
            "labelled": labelled,
            "unlabelled": unlabelled or None,
            "teacher": labelled if unlabelled else None,
            "backbone": "small",
            "iterations": iterations,
            "seed": 0,
            "metrics": {**scores, "interval": list(between)},
            "matches": matches,
        }
        return Result(**{**fields, **changes})

    return build


def first(count):
    return range(1, count + 1)


@pytest.fixture
def student(result):
    """Build a student of co-115 and un-120 that finds the first so many people."""

    def build(
        row, found, iterations=180000, teacher="teacher", labelled="co-115+un-120", **ablation
    ):
        return result(
            labelled, first(found), row=row, iterations=iterations, teacher=teacher,
            ablation=ablation,
        )  # fmt: skip

    return build


@pytest.fixture
def teacher(result):
    """Build a supervised row of co-115; with all views it finds `many` people, if tested so."""

    def build(row="teacher", found=8, iterations=130000, many=None, **changes):
        made = result("co-115", first(found), row=row, iterations=iterations, **changes)
        if many is None:
            return made
        through_all = result("co-115", first(many))
        made.metrics["with_views"] = {**through_all.metrics, "views": 18}
        return replace(made, all_views=through_all.matches)

    return build


@pytest.fixture
def as_published(result):
    """Every line of the paper's table 1, as if its numbers were ours."""
    lines = {}
    for line in published("table1_keypoints").to_dict("records"):
        distilled = isinstance(line["unlabelled"], str)
        name = f"{line['labelled']}+{line['unlabelled']}" if distilled else line["labelled"]
        metrics = {key: line[key] for key in ("ap", "ap50", "ap75", "ap_medium", "ap_large")}
        metrics["interval"] = [line["ap"] - 0.6, line["ap"] + 0.6]
        more = distilled or line["labelled"] == "co-115"
        found = range(1, 21 if more else 11)
        lines[name, line["backbone"]] = result(
            name,
            found,
            iterations=line["iterations"],
            backbone=line["backbone"],
            metrics=metrics,
        )
    return list(lines.values())


@pytest.fixture
def paper():
    return numbers(published("table1_keypoints"))


@pytest.fixture
def unions():
    return {"co-115": frozenset({"co-35", "co-80"})}
