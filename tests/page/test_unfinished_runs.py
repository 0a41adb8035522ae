"""A report of less than a whole run: a page without that part, or one clear sentence."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from page_reader import Page

from datastill.commands import restore
from datastill.errors import DataError
from datastill.io import write_text
from datastill.stages import report

pytestmark = pytest.mark.slow


@pytest.fixture
def sections(untrained, datastill, monkeypatch):
    """Write the page of what is left after `edit`, without MLflow; return its sections."""
    monkeypatch.setattr(report, "mirror_report", lambda _: True)

    def build(edit):
        edit(untrained)
        answer = datastill("report")
        assert answer.returncode == 0, answer.stderr
        return [a["id"] for a in Page(untrained.report.read_text()).all("section")]

    return build


def _without_table(profile):
    for path in profile.results.glob("table1.*"):
        path.unlink()


def _without_row(profile):
    for path in (
        profile.metrics("student"), profile.detections("student"), profile.evidence("student"),
        profile.annotation_card("student"),
    ):  # fmt: skip
        path.unlink()
    shutil.rmtree(profile.model("student"))


def _without_truth(profile):
    path = profile.image_set("val")
    left = json.loads(path.read_text()) | {"annotations": []}
    write_text(path, json.dumps(left, separators=(",", ":")))


def _without_parameters(profile):
    path = profile.model("teacher") / "card.json"
    card = json.loads(path.read_text())
    del card["parameters"]
    write_text(path, json.dumps(card))


def _without_distilled(profile):
    path = Path(profile.params.params_file)
    raw = yaml.safe_load(path.read_text()) | {"distilled": {}, "tables": ["table2"]}
    write_text(path, yaml.safe_dump(raw, sort_keys=False))


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda _: shutil.rmtree("work"), "work/miniature/data/val.json: no such file, and a"),
        (_without_truth, "work/miniature/data/val.json: has no annotations, so nothing was"),
        (_without_table, "table1.csv: no such file; `datastill run miniature` writes it"),
        (lambda p: p.image_set("unlabelled").unlink(), "unlabelled.json: no such file"),
        (lambda p: p.manifest.unlink(), "manifest.csv: no such file"),
        (lambda p: p.evidence("student").write_bytes(b"?"), "expected the records of stages"),
        (_without_parameters, "trainings section of the report: expected the records of stages"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(edit, sentence, untrained, datastill):
    edit(untrained)
    answer = datastill("report")
    assert answer.returncode == 1
    assert sentence in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert not untrained.report.exists()


def test_numbers_measured_before_val_changed_are_refused(untrained, datastill):
    val = untrained.image_set("val")
    content = json.loads(val.read_text())
    content["annotations"].pop()
    write_text(val, json.dumps(content, separators=(",", ":")))
    answer = datastill("report")
    assert answer.returncode == 1
    assert "metrics/teacher.json: measured on val " in answer.stderr
    assert "`datastill run miniature` measures again" in answer.stderr
    assert not untrained.report.exists()


def test_a_row_that_has_not_run_is_named(untrained, datastill):
    _without_row(untrained)
    _without_table(untrained)
    assert "rows not evaluated yet: student; `datastill run" in datastill("report").stderr


def test_a_row_that_has_not_run_since_the_tables_has_no_pictures(sections):
    assert "images" not in sections(_without_row)


def test_a_single_row_has_a_page_without_comparisons(sections):
    left = sections(lambda p: [_without_distilled(p), _without_table(p)])
    assert left == ["verdict", "labels", "left-out", "trainings", "origins"]


@pytest.mark.parametrize("are_lost", [False, True])
def test_images_that_are_gone_are_brought_back_or_said_to_be_gone(
    sections, untrained, monkeypatch, are_lost
):
    def fail(*_):
        raise DataError("no such folder")

    if are_lost:
        monkeypatch.setattr(restore, "_remake", fail)
    sections(lambda profile: shutil.rmtree(profile.images))
    assert ("This image cannot be read." in untrained.report.read_text()) == are_lost
