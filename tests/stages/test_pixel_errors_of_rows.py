"""Pixel errors from the stage `evaluate` into metrics, tables and MLflow."""

import csv
import json

import pytest

from datastill.coco.format import read_coco
from datastill.evaluation.pixel_errors import NAMES, pixel_errors, pixel_metrics
from datastill.report.tables import PIXEL_GAINS, PIXELS
from datastill.stages import tables
from datastill.tracking.run_record import read_record

ROWS = ("teacher", "student")


def measured(profile, row):
    return json.loads(profile.metrics(row).read_text())


@pytest.fixture
def restored(profile):
    """The profile; metrics and tables of the project are put back afterwards."""
    files = [path for path in profile.results.rglob("*") if path.is_file()]
    kept = {path: path.read_bytes() for path in files}
    yield profile
    for path, content in kept.items():
        path.write_bytes(content)


def lines(profile):
    with (profile.results / "table1.csv").open() as file:
        return list(csv.DictReader(file))


def test_metrics_hold_the_errors_of_the_detections(profile):
    val, resamples = read_coco(profile.image_set("val")), profile.params.evaluate.resamples
    for row in ROWS:
        metrics = measured(profile, row)
        sigmas = metrics["provenance"]["oks"]["sigmas"]
        detections = json.loads(profile.detections(row).read_text())
        expected = pixel_metrics(pixel_errors(val, detections, sigmas=sigmas), resamples)
        assert {name: metrics[name] for name in expected} == expected
        assert tuple(metrics["by_keypoint"]) == val.keypoint_names()
    assert NAMES[0] in measured(profile, "teacher")["with_views"]


def test_the_table_has_the_errors_and_says_which_sigmas_it_is_by(profile):
    supervised, distilled = lines(profile)
    for line, row in ((supervised, "teacher"), (distilled, "student")):
        metrics = measured(profile, row)
        assert [float(line[name]) for name in NAMES] == [metrics[name] for name in NAMES]
        ends = [float(line[f"rmse_{end}"]) for end in ("low", "high")]
        assert ends == metrics["pixel_intervals"]["rmse"]
    gain = float(distilled["rmse"]) - float(supervised["rmse"])
    assert float(distilled["rmse_gain"]) == pytest.approx(gain, abs=0.015)
    page = (profile.results / "table1.md").read_text()
    assert "| RMSE | PCK@0.1 |" in page
    assert "with sigma 0.072, the median of COCO's" in page


def test_metrics_of_before_make_blank_cells_and_the_same_ap(restored):
    before = lines(restored)
    for row in ROWS:
        metrics = measured(restored, row)
        old = {k: v for k, v in metrics.items() if k not in (*NAMES, "pixel_intervals")}
        restored.metrics(row).write_text(json.dumps(old))
    tables.run(restored)
    for line, older in zip(before, lines(restored), strict=True):
        assert {older[name] for name in (*PIXELS, *PIXEL_GAINS)} == {""}
        assert {k: v for k, v in line.items() if k not in (*PIXELS, *PIXEL_GAINS)} == {
            k: v for k, v in older.items() if k not in (*PIXELS, *PIXEL_GAINS)
        }


def test_mlflow_is_sent_them_with_their_intervals(profile):
    metrics, sent = measured(profile, "teacher"), read_record(profile, "teacher").metrics
    for name in NAMES:
        assert sent[f"val/keypoints/{name}"] == metrics[name]
        ends = [sent[f"val/keypoints/{name}_{end}"] for end in ("low", "high")]
        assert ends == metrics["pixel_intervals"][name]
    assert sent["val/keypoints/rmse_with_views"] == metrics["with_views"]["rmse"]
