"""Results whose numbers can be computed by hand."""

import numpy as np
import pytest

from datastill.coco.format import PERSON, Coco
from datastill.evaluation.bootstrap import bootstrap, interval, match
from datastill.evaluation.coco_ap import evaluate
from datastill.report.paper import published
from datastill.report.tables import Result

IMAGES = 20  # with one person each


def person(image_id):
    points = np.column_stack([np.random.default_rng(0).random((17, 2)) * 100, np.full(17, 2)])
    return {
        "id": image_id,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [0.0, 0.0, 100.0, 100.0],
        "area": 5000.0,
        "iscrowd": 0,
        "keypoints": points.ravel().tolist(),
        "num_keypoints": 17,
    }


def truth():
    ids = range(1, IMAGES + 1)
    listed = [{"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 200} for i in ids]
    return Coco(listed, [person(i) for i in ids], [PERSON])


def ap_of(images):
    """AP in percent of who finds the people of so many images, and nothing false."""
    return 100 * (100 * len(images) // IMAGES + 1) / 101  # so many of COCO's 101 recalls


@pytest.fixture
def ap_of_images():
    return ap_of


@pytest.fixture
def result():
    """Build a Result that finds the people of the images `found`; "+" makes it distilled."""

    def build(name, found=range(1, 11), *, iterations=130000, **changes):
        labelled, _, unlabelled = name.partition("+")
        detections = [{**person(i), "score": 0.9} for i in found]
        matches = match(truth(), detections, "keypoints")
        scores = vars(evaluate(truth(), detections, "keypoints"))
        fields = {
            "row": f"{name} {iterations}",
            "role": "distilled" if unlabelled else "supervised",
            "labelled": labelled,
            "unlabelled": unlabelled or None,
            "teacher": labelled if unlabelled else None,
            "backbone": "small",
            "iterations": iterations,
            "seed": 0,
            "metrics": {**scores, "interval": list(interval(bootstrap(matches)))},
            "matches": matches,
        }
        return Result(**{**fields, **changes})

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
def unions():
    return {"co-115": frozenset({"co-35", "co-80"})}
