"""Pixel errors in table 1: beside AP, paired, and blank where a result has none."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from datastill.coco.format import PERSON, Coco
from datastill.evaluation.pixel_errors import NAMES, pixel_errors, pixel_metrics, samples
from datastill.report.ablations import ablation_table
from datastill.report.pages import describe_ap, to_markdown, to_text
from datastill.report.render import WIDTH, to_csv
from datastill.report.seed_variance import BetweenSeeds, Sampling, SeedVariance
from datastill.report.tables import PIXEL_GAINS, PIXELS, comparison_table

table1 = partial(comparison_table, "table1")
IMAGES = 20
AP = ("ap", "ap_low", "ap_high", "gain", "gain_low", "gain_high", "gain_p", "gain_verdict")


@pytest.fixture
def off(result, truth_of_20):
    """Build a result all of whose keypoints in image i are `pixels[i]` too far to the right."""

    def build(name, pixels, **changes):
        detections = []
        for person, shift in zip(truth_of_20.annotations, pixels, strict=True):
            points = np.add(np.reshape(person["keypoints"], (17, 3)), [shift, 0, 0])
            place = {name: person[name] for name in ("image_id", "category_id")}
            detections.append({**place, "score": 0.9, "keypoints": points.ravel().tolist()})
        errors = pixel_errors(truth_of_20, [d for d in detections if d["keypoints"][0] < 9000])
        made = result(name, errors=errors, **changes)
        return replace(made, metrics=made.metrics | pixel_metrics(errors, 20))

    return build


def line(table, role):
    (kept,) = table[table["role"] == role].to_dict("records")
    return kept


def spread(mean, seed):
    return mean + np.random.default_rng(seed).uniform(-1, 1, IMAGES)


MISSED = 1e4


def test_a_smaller_error_is_a_negative_gain_paired_over_the_images(off):
    before = off("a", spread(9, 0))
    control = off("a", spread(8, 1), iterations=360000)
    student = off("a+b", spread(5, 2), iterations=360000)
    kept = line(table1([before, control, student], {}), "distilled")
    drawn = {row.row: samples(row.errors, "rmse") for row in (before, control, student)}
    rms = {row: math.sqrt(np.mean(spread(*args) ** 2)) for row, args in (
        (before.row, (9, 0)), (control.row, (8, 1)), (student.row, (5, 2)),
    )}  # fmt: skip
    for name, base in (("rmse_gain", before), ("rmse_control_gain", control)):
        assert kept[name] == pytest.approx(rms[student.row] - rms[base.row])
        difference = drawn[student.row] - drawn[base.row]
        ends = np.quantile(difference, [0.025, 0.975], method="weibull")
        assert [kept[f"{name}_low"], kept[f"{name}_high"]] == pytest.approx(ends)
        assert (kept[f"{name}_verdict"], kept[f"{name}_p"]) == ("gain", 0.006)  # of three
    ends = np.quantile(drawn[student.row], [0.025, 0.975], method="weibull")
    assert [kept["rmse_low"], kept["rmse_high"]] == pytest.approx(ends)
    assert [kept[name] for name in NAMES] == [student.metrics[name] for name in NAMES]


@pytest.mark.parametrize(("pixels", "verdict"), [(12, "loss"), (9, "not distinguishable")])
def test_a_larger_error_is_a_loss(off, pixels, verdict):
    table = table1([off("a", spread(9, 0)), off("a+b", spread(pixels, 1))], {})
    assert line(table, "distilled")["rmse_gain_verdict"] == verdict


def test_errors_beyond_100_pixels_are_not_cut_off(off):
    kept = line(table1([off("a", spread(400, 0)), off("a+b", spread(200, 1))], {}), "distilled")
    assert [kept["rmse_low"], kept["rmse_high"]] == pytest.approx([200, 200], abs=1)
    ends = [kept["rmse_gain_low"], kept["rmse_gain_high"]]
    assert ends == pytest.approx([-200, -200], abs=1)


def test_seeds_move_an_error_by_their_own_variance_and_none_is_borrowed(off):
    seeds = [off("a", spread(9 + n, n), seed=n) for n in (0, 1)]
    students = [off("a+b", spread(5 + 2 * n, 2 + n), seed=n) for n in (0, 1)]
    rmses = [[row.metrics["rmse"] for row in side] for side in (seeds, students)]
    kept = line(table1([*seeds, *students], {}), "distilled")
    assert kept["rmse"] == pytest.approx(np.mean(rmses[1]))
    assert kept["rmse_sd"] == pytest.approx(np.std(rmses[1], ddof=1))
    images = np.mean([samples(row.errors, "rmse") for row in students], axis=0)
    images = images - np.mean([samples(row.errors, "rmse") for row in seeds], axis=0)
    sd = np.std(np.subtract(*rmses), ddof=1)
    noise = sd / np.sqrt(2) * np.random.default_rng(0).standard_t(1, 1000)
    ends = [np.quantile(s, [0.025, 0.975], method="weibull") for s in (images, images + noise)]
    low, high = kept["rmse_gain_low"], kept["rmse_gain_high"]
    assert (low, high) == pytest.approx((min(e[0] for e in ends), max(e[1] for e in ends)))
    lent = BetweenSeeds(SeedVariance(2.0, 10), SeedVariance(50.0, 6))
    single = [seeds[0], students[0]]
    own, borrowed = (table1(single, {}, sampling=Sampling(1000, b)) for b in (BetweenSeeds(), lent))
    pixels = [*PIXELS, *PIXEL_GAINS]
    pd.testing.assert_frame_equal(own[pixels], borrowed[pixels])


def test_a_result_of_before_pixel_errors_leaves_cells_blank_and_ap_as_it_was(off, result):
    new = [off("a", spread(9, 0)), off("a+b", spread(5, 1))]
    old = result("a"), result("a+b")
    table, blank, mixed = (table1(rows, {}) for rows in (new, old, [old[0], new[1]]))
    assert blank[[*PIXELS, *PIXEL_GAINS]].isna().all(axis=None)
    pd.testing.assert_frame_equal(table[[*AP]], blank[[*AP]])
    assert pd.notna(line(mixed, "distilled")["rmse"])
    assert mixed[[*PIXEL_GAINS]].isna().all(axis=None)
    assert "RMSE" not in to_markdown(blank) + to_text(blank)


def test_a_result_that_detects_nobody_has_no_error_and_no_gain(off):
    table = table1([off("a", [MISSED] * IMAGES), off("a+b", spread(5, 1))], {})
    first = line(table, "supervised")
    assert math.isnan(first["rmse"])
    assert (first["pck10"], first["detected"]) == (0, 0)
    assert table[[*PIXEL_GAINS]].isna().all(axis=None)


def test_a_few_detected_people_have_an_interval_over_the_draws_that_hold_them(off):
    pixels = np.where(np.arange(IMAGES) < 2, [3.0, 5.0] * 10, MISSED)
    kept = line(table1([off("a", pixels), off("a+b", spread(5, 1))], {}), "supervised")
    assert (kept["rmse_low"], kept["rmse_high"]) == (3, 5)
    assert kept["detected"] == 10


def test_the_page_shows_them_in_short_and_says_how_to_read_them(off):
    rows = [
        off("a", spread(9, 0)),
        off("a", spread(8, 1), iterations=360000),
        off("a+b", spread(5, 2), iterations=360000),
    ]
    table = table1(rows, {})
    text = to_markdown(table, describe_ap(val([PERSON]), "keypoints"))
    headings, _, *cells = ([c.strip() for c in x.split("|")] for x in text.splitlines() if "|" in x)
    shown = dict(zip(headings, cells[2], strict=True))
    kept = line(table, "distilled")
    assert shown["RMSE"] == f"{kept['rmse']:.1f}"
    assert shown["PCK@0.1"] == f"{kept['pck10']:.1f}"
    for heading, name in (
        ("RMSE gain [95 %]", "rmse_gain"), ("RMSE over control", "rmse_control_gain"),
    ):  # fmt: skip
        value, low, high = (round(kept[f"{name}{end}"], 2) for end in ("", "_low", "_high"))
        assert shown[heading] == f"{value:+.1f} [{low:.1f}, {high:.1f}]"
    assert "an improvement is a negative gain" in text
    assert "do not cover the variation between seeds" in text
    terminal = to_text(table, describe_ap(val([PERSON]), "keypoints"))
    assert f"  {kept['rmse']:.1f}" in terminal
    assert max(map(len, terminal.splitlines())) <= WIDTH


def test_intervals_of_errors_that_lack_the_borrowed_variance_say_so(off):
    rows = [off("a", spread(9, 0)), off("a+b", spread(5, 1))]
    lent = BetweenSeeds(SeedVariance(2.0, 10), SeedVariance(5.0, 6))
    said = "Intervals and verdicts of RMSE do not cover the variation between seeds."
    assert said in to_markdown(table1(rows, {}, sampling=Sampling(50, lent)))
    several = [*rows, off("a", spread(9, 2), seed=1), off("a+b", spread(5, 3), seed=1)]
    assert said not in to_markdown(table1(several, {}))


def val(categories, objects=1):
    marked = [{"image_id": 1, "category_id": 1, "num_keypoints": 1} for _ in range(objects)]
    return Coco([{"id": 1}], marked, categories)


@pytest.mark.parametrize(
    ("task", "objects", "said"),
    [
        ("keypoints", 20, None),
        ("keypoints", 21, "up to 42 detections per image and category (twice the objects in the"),
        ("boxes", 100, None),
        ("boxes", 300, "up to 600 detections per image and category (twice the objects in the"),
    ],
)
def test_a_table_says_how_many_detections_count_if_more_than_cocos(task, objects, said):
    notes = " ".join(describe_ap(val([PERSON], objects), task))
    assert said in notes if said else "detections" not in notes


HANDS = {"id": 1, "name": "hand", "keypoints": ["wrist", "thumb"], "skeleton": []}


@pytest.mark.parametrize(
    ("category", "said"),
    [
        (PERSON, "AP is by OKS with COCO's sigmas."),
        (HANDS, "AP is by OKS with sigma 0.072, the median of COCO's, for every"),
        ({**HANDS, "sigmas": [0.1, 0.2]}, "with the sigmas that the data give."),
        ({"id": 1, "name": "cell"}, None),
    ],
)
def test_every_table_says_which_sigmas_its_ap_is_by(off, teacher, student, category, said):
    notes = describe_ap(val([category]), "keypoints" if said else "boxes")
    ours = table1([off("a", spread(9, 0)), off("a+b", spread(5, 1))], {})
    ablation = ablation_table("figure5", [teacher(), student("x", 12, 260000, fraction=1.0)])
    for table in (ours, ablation):
        for write in (to_markdown, to_text):
            text = " ".join(write(table, notes).split())
            assert (said or "OKS") in text if said else "OKS" not in text


def test_the_csv_has_the_columns_after_ap_and_p_values_with_four_decimals(off):
    text = to_csv(table1([off("a", spread(9, 0)), off("a+b", spread(5, 1))], {}))
    names, _, student = (line.split(",") for line in text.splitlines())
    assert names[names.index("ap_large") + 1 :][: len(PIXELS)] == list(PIXELS)
    assert student[names.index("rmse_gain_p")] == "0.0020"


def test_tables_of_boxes_have_no_columns_of_keypoints(result):
    rows = [result("a"), result("a+b")]
    rows = [replace(row, metrics={**row.metrics, "ap_small": 1.0}) for row in rows]
    assert not {*PIXELS, *PIXEL_GAINS} & {*comparison_table("table4", rows, {}).columns}
