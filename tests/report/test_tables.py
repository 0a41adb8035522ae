import io
from dataclasses import replace
from functools import partial
from statistics import stdev

import numpy as np
import pandas as pd
import pytest

from datastill.errors import DataError
from datastill.evaluation.bootstrap import bootstrap, interval, paired_interval
from datastill.report.pages import to_markdown
from datastill.report.paper import BOX_METRICS, METRICS, numbers, published
from datastill.report.render import to_csv
from datastill.report.seed_variance import BetweenSeeds, Sampling, SeedVariance
from datastill.report.tables import columns, comparison_table

table1 = partial(comparison_table, "table1")
table4 = partial(comparison_table, "table4")

IMAGES = 20  # of the truth
FIRST, MOST, HALF, FEW = range(1, 11), range(1, 17), range(11, 21), range(1, 5)


def both_intervals(images, noise, *, difference=False):
    """The interval over images and seeds, never narrower than that over images alone."""
    moved = np.clip(images + noise, -100 if difference else 0, 100)
    bounds = [interval(sample, IMAGES, difference=difference) for sample in (images, moved)]
    return min(low for low, _ in bounds), max(high for _, high in bounds)


def line(table, role):
    (found,) = table[table["role"] == role].to_dict("records")
    return found


def test_a_gain_is_the_difference_to_the_baseline_and_its_interval_paired(result, ap_of_images):
    baseline, distilled = result("a", FIRST), result("a+b", MOST, iterations=360000)
    found = line(table1([baseline, distilled], {}), "distilled")
    assert found["ap"] == pytest.approx(ap_of_images(MOST))
    assert found["gain"] == pytest.approx(ap_of_images(MOST) - ap_of_images(FIRST))
    assert found["gain"] == pytest.approx(100 * 30 / 101)
    _, expected = paired_interval(baseline.matches, distilled.matches)
    assert (found["gain_low"], found["gain_high"]) == expected
    assert [found["ap_low"], found["ap_high"]] == distilled.metrics["interval"]


def test_a_baseline_as_long_as_the_distilled_line_is_not_its_control_too(result):
    table = table1([result("a"), result("a+b", MOST)], {})
    assert table["role"].tolist() == ["supervised", "distilled"]
    assert pd.isna(line(table, "distilled")["control_gain"])


def test_rows_that_no_image_tells_apart_have_the_intervals_of_20_images(result):
    """Both seeds find all people, before and after: Clopper and Pearson's bound is 83.16 %."""
    rows = [result(name, range(1, 21), seed=seed) for name in ("a", "a+b") for seed in (0, 1)]
    found = line(table1(rows, {}), "distilled")
    assert (found["ap_low"], found["ap_high"]) == (pytest.approx(83.16, abs=0.01), 100)
    assert (found["gain_low"], found["gain_high"]) == pytest.approx((-16.84, 16.84), abs=0.01)
    assert found["gain_verdict"] == "not distinguishable"


@pytest.mark.parametrize(
    ("found", "verdict"), [(MOST, "gain"), (HALF, "not distinguishable"), (FEW, "loss")]
)
def test_the_verdict_is_whether_the_interval_of_the_gain_excludes_0(result, found, verdict):
    table = table1([result("a", FIRST), result("a+b", found)], {})
    assert line(table, "distilled")["gain_verdict"] == verdict
    assert pd.isna(line(table, "supervised")["gain_verdict"])


def test_the_papers_own_numbers_close_52_percent_of_the_gap(as_published, unions, paper):
    table = table1(as_published, unions, paper)
    found = line(table[table["table"] == "1a"], "distilled")
    assert round(found["paper_gap_closed"]) == 52
    assert found["paper_gain"] == pytest.approx(5.3)
    assert line(table[table["table"] == "1a"], "upper bound")["paper_gain"] == pytest.approx(10.2)
    assert table[table["table"] != "1a"]["paper_gap_closed"].isna().all()
    # the paper's student is longer than its upper bound: an unequal comparison, not one of ours
    assert table["gap_closed"].isna().all()
    np.testing.assert_allclose(table["ap"], table["paper_ap"])


STUDENT, UPPER = range(1, 16), range(1, 21)
BOTH = {"a and b": frozenset({"a", "b"})}


def test_the_share_of_the_gap_is_of_both_gains_and_so_is_its_interval(result, ap_of_images):
    baseline, student, upper = (
        result(name, found) for name, found in (("a", FIRST), ("a+b", STUDENT), ("a and b", UPPER))
    )
    found = line(table1([baseline, student, upper], BOTH), "distilled")
    before, after, most = (ap_of_images(images) for images in (FIRST, STUDENT, UPPER))
    assert found["gap_closed"] == pytest.approx(100 * (after - before) / (most - before))
    draws = [bootstrap(each.matches) for each in (baseline, student, upper)]
    gap = draws[2] - draws[0]
    ratios = 100 * (draws[1] - draws[0]) / np.where(gap > 0, gap, np.nan)
    assert (found["gap_closed_low"], found["gap_closed_high"]) == pytest.approx(
        interval(ratios, IMAGES)
    )


def test_the_seeds_of_all_three_rows_move_the_share(result):
    rows = [result("a", FIRST), result("a+b", STUDENT), result("a and b", UPPER)]
    lent = SeedVariance(sd=3.0, degrees=8)
    found = line(table1(rows, BOTH, sampling=Sampling(500, BetweenSeeds(lent, lent))), "distilled")
    before, after, most = (  # each of half the variance of a gain
        bootstrap(row.matches, 500)
        + 3 / np.sqrt(2) * np.random.default_rng(stream).standard_t(8, 500)
        for stream, row in enumerate(rows)
    )
    gap = np.where(most > before, most - before, np.nan)
    expected = interval(100 * (after - before) / gap, IMAGES)
    assert (found["gap_closed_low"], found["gap_closed_high"]) == pytest.approx(expected)


@pytest.mark.parametrize("longer", ["a", "a+b", "a and b"])
def test_a_gap_between_rows_of_different_lengths_is_not_closed(result, longer):
    found = {"a": FIRST, "a+b": STUDENT, "a and b": UPPER}
    lengths = dict.fromkeys(found, 130000) | {longer: 360000}
    rows = [result(name, found[name], iterations=lengths[name]) for name in found]
    table = table1(rows, BOTH)
    assert table["gap_closed"].isna().all()
    assert line(table, "distilled")["gain"] > 0


def test_a_gap_is_closed_from_the_control_as_long_as_the_upper_bound(result, ap_of_images):
    """There are controls of two lengths, for the student of each."""
    rows = [
        result("a", FEW, iterations=1000),
        *(result("a", FIRST, iterations=length) for length in (2000, 3000)),
        *(result("a+b", STUDENT, iterations=length) for length in (2000, 3000)),
        result("a and b", UPPER, iterations=2000),
    ]
    table = table1(rows, BOTH)
    assert table["role"].tolist() == [
        "supervised", "control", "control", "distilled", "distilled", "upper bound",
    ]  # fmt: skip
    students = table[table["role"] == "distilled"]["gap_closed"].tolist()
    before, after, most = (ap_of_images(images) for images in (FIRST, STUDENT, UPPER))
    assert students[0] == pytest.approx(100 * (after - before) / (most - before))
    assert np.isnan(students[1])


@pytest.mark.parametrize(("upper", "closed"), [(UPPER, True), (range(2, 12), False)])
def test_a_gap_that_may_be_none_is_not_closed(result, upper, closed):
    rows = [result("a", FIRST), result("a+b", STUDENT), result("a and b", upper)]
    table = table1(rows, BOTH)
    assert pd.notna(line(table, "distilled")["gap_closed"]) == closed


def test_a_gain_that_may_be_none_closes_no_gap(result, unions):
    rows = [result("co-35", FIRST), result("co-35+co-80", range(1, 12)), result("co-115", UPPER)]
    table = table1(rows, unions)
    found = line(table, "distilled")
    assert (found["gain"] > 0, found["gain_verdict"]) == (True, "not distinguishable")
    assert line(table, "upper bound")["gain_verdict"] == "gain"
    assert table.filter(like="gap_closed").isna().all(axis=None)


def test_the_upper_bound_of_a_labelled_union_has_all_its_parts_and_the_unlabelled_set(result):
    unions = {
        "co-115": frozenset({"co-35", "co-80"}),
        "others": frozenset({"co-35", "co-80", "s1m-180"}),
        "all": frozenset({"co-35", "co-80", "un-120"}),
    }
    rows = [result("co-115", FIRST), result("co-115+un-120", STUDENT), result("others", UPPER)]
    assert "upper bound" not in table1(rows, unions)["role"].tolist()
    table = table1([*rows, result("all", UPPER)], unions)
    assert line(table, "upper bound")["labelled"] == "all"
    assert pd.notna(line(table, "distilled")["gap_closed"])


def test_sections_and_lines_come_in_the_papers_order(as_published, unions, paper):
    table = table1(as_published, unions, paper, sampling=Sampling(50))
    assert list(table.columns) == list(columns(METRICS))
    first = table[table["table"] == "1a"]
    assert list(first["role"]) == ["supervised", "distilled", "upper bound"]
    assert list(first["labelled"]) == ["co-35", "co-35", "co-115"]
    assert len(table[table["table"] == "1b"]) == len(table[table["table"] == "1c"]) == 8
    assert list(table["table"].unique()) == ["1a", "1b", "1c"]
    assert list(table[table["table"] == "1c"]["role"]) == ["supervised", "distilled"] * 4
    assert set(table[table["table"] == "1c"]["unlabelled"].dropna()) == {"s1m-180"}


def test_a_backbone_the_paper_has_not_stands_beside_its_stand_in(result, paper, monkeypatch):
    ours = [result("co-35"), result("co-35+co-80", iterations=360000)]
    assert list(table1(ours, {}, paper)["paper_ap"]) == [54.9, 60.2]
    monkeypatch.setattr("datastill.report.paper.BACKBONE", "resnet101")  # has no such numbers
    assert table1(ours, {}, paper)["paper_ap"].isna().all()


def test_a_supervised_row_as_long_as_the_distilled_one_is_its_control(result, unions):
    rows = [
        result("co-35+co-80", MOST, iterations=360000),
        result("co-115", range(1, 21)),
        result("co-115", range(1, 21), iterations=360000),
        result("co-35", range(1, 13), iterations=360000),
        result("co-35", FIRST),
    ]
    table = table1(rows, unions)
    assert list(table["role"]) == ["supervised", "control", "distilled", "upper bound"]
    assert list(table["iterations"]) == [130000, 360000, 360000, 360000]
    found = line(table, "distilled")
    assert found["control_gain"] == pytest.approx(100 * 20 / 101)
    assert found["control_gain_low"] < found["control_gain"] < found["control_gain_high"]
    assert pd.isna(line(table1([rows[0], rows[4]], unions), "distilled")["control_gain"])


def test_the_baseline_is_the_papers_length_or_else_the_shortest(result, paper):
    rows = [
        result("co-35", iterations=90000),
        result("co-35"),
        result("co-35+co-80", iterations=360000),
    ]
    assert line(table1(rows, {}, paper), "supervised")["iterations"] == 130000
    assert line(table1(rows, {}), "supervised")["iterations"] == 90000


def test_seeds_are_averaged_over_the_same_resampled_images(result, ap_of_images):
    found_by = [FIRST, HALF, MOST]
    seeds = [result("a", found, seed=n) for n, found in enumerate(found_by)]
    distilled = [result("a+b", range(1, 17 + 2 * n), seed=n) for n in range(3)]
    table = table1([*seeds, *distilled], {})
    before = [ap_of_images(images) for images in found_by]
    after = [ap_of_images(range(1, 17 + 2 * n)) for n in range(3)]
    baseline, student = line(table, "supervised"), line(table, "distilled")
    assert (baseline["seeds"], baseline["ap"]) == (3, pytest.approx(np.mean(before)))
    assert baseline["ap_sd"] == pytest.approx(stdev(before))
    assert student["ap_sd"] == pytest.approx(stdev(after))
    assert student["gain"] == pytest.approx(np.mean(after) - np.mean(before))
    # other images are not all that could have been: other seeds could have been, too
    sd = np.sqrt((stdev(before) ** 2 + stdev(after) ** 2) / 2)
    gain_sd = stdev(np.subtract(after, before))  # of pairs with one seed, not of rows
    assert [student[name] for name in ("seed_sd", "seed_degrees")] == pytest.approx([sd, 4])
    gains = ("seed_gain_sd", "seed_gain_degrees")
    assert [student[name] for name in gains] == pytest.approx([gain_sd, 2])
    images = [np.mean([bootstrap(r.matches) for r in rows], axis=0) for rows in (seeds, distilled)]
    draws = np.random.default_rng
    expected = both_intervals(images[0], sd / np.sqrt(3) * draws(0).standard_t(4, 1000))
    assert (baseline["ap_low"], baseline["ap_high"]) == pytest.approx(expected)
    noise = gain_sd / np.sqrt(3) * draws(0).standard_t(2, 1000)
    expected = both_intervals(images[1] - images[0], noise, difference=True)
    assert (student["gain_low"], student["gain_high"]) == pytest.approx(expected)


def test_a_gain_is_over_the_seeds_that_both_rows_have(result, ap_of_images):
    """The baseline has a third seed, far worse; no student of it was trained."""
    before = [result("a", found, seed=n) for n, found in enumerate([FIRST, HALF, FEW])]
    after = [result("a+b", MOST, seed=n) for n in range(2)]
    found = line(table1([*before, *after], {}), "distilled")
    assert found["gain"] == pytest.approx(ap_of_images(MOST) - ap_of_images(FIRST))
    _, of_images = paired_interval(
        [row.matches for row in before[:2]], [row.matches for row in after]
    )
    assert found["seed_gain_sd"] == pytest.approx(0, abs=1e-9)
    assert (found["gain_low"], found["gain_high"]) == pytest.approx(of_images)


def test_seeds_whose_sets_raise_both_rows_alike_leave_their_gain_sure(result):
    rows = [
        result(name, range(1, most + 5 * seed), seed=seed)
        for name, most in (("a", 6), ("a+b", 11))
        for seed in range(2)
    ]
    found = line(table1(rows, {}), "distilled")
    assert found["seed_sd"] > 10
    assert found["seed_gain_sd"] == pytest.approx(0, abs=1e-9)
    before, after = ([r.matches for r in pair] for pair in (rows[:2], rows[2:]))
    _, of_images = paired_interval(before, after)
    assert (found["gain_low"], found["gain_high"]) == pytest.approx(of_images)


def test_single_runs_borrow_the_variance_between_seeds(result):
    baseline, student = result("a", FIRST), result("a+b", MOST)
    lent = BetweenSeeds(ap=SeedVariance(2.0, 10), gain=SeedVariance(5.0, 6))
    found = line(table1([baseline, student], {}, sampling=Sampling(500, lent)), "distilled")
    kept = [found[f"seed_{name}"] for name in ("sd", "degrees", "gain_sd", "gain_degrees")]
    assert kept == [2.0, 10, 5.0, 6]
    draws = np.random.default_rng
    images = [bootstrap(row.matches, 500) for row in (baseline, student)]
    expected = both_intervals(images[1], 2 * draws(0).standard_t(10, 500))
    assert (found["ap_low"], found["ap_high"]) == pytest.approx(expected)
    noise = 5 * draws(0).standard_t(6, 500)
    expected = both_intervals(images[1] - images[0], noise, difference=True)
    assert (found["gain_low"], found["gain_high"]) == pytest.approx(expected)


def test_nothing_is_borrowed_where_rows_have_several_seeds(result):
    seeds = [result("a", found, seed=n) for n, found in enumerate([FIRST, MOST])]
    rows = [*seeds, *(result("a+b", MOST, seed=n) for n in range(2))]
    lent = BetweenSeeds(ap=SeedVariance(99.0, 9), gain=SeedVariance(99.0, 9))
    own, table = table1(rows, {}), table1(rows, {}, sampling=Sampling(borrowed=lent))
    pd.testing.assert_frame_equal(own, table)
    # a gain of one seed is no variance: it is borrowed, that of AP is not
    found = line(table1(rows[:3], {}, sampling=Sampling(borrowed=lent)), "distilled")
    assert found["seed_sd"] == pytest.approx(own["seed_sd"].iloc[0] * np.sqrt(2))
    assert found["seed_gain_sd"] == 99


def test_without_a_second_seed_or_a_loan_the_variance_is_unknown(result):
    table = table1([result("a", FIRST), result("a+b", MOST)], {})
    assert table.filter(like="seed_").isna().all(axis=None)


def test_one_seed_has_no_standard_deviation(result):
    assert table1([result("a"), result("a+b")], {})["ap_sd"].isna().all()


def test_a_setting_without_baseline_says_what_is_missing(result):
    other = result("a", backbone="large")
    with pytest.raises(DataError, match=r"supervised on a with backbone small.*teacher a"):
        table1([other, result("a+b")], {})


def test_the_same_training_twice_with_one_seed_is_an_error(result):
    rows = [result("a", row="first"), result("a", row="second"), result("a+b")]
    with pytest.raises(DataError, match=r"first and second.*found 0 twice"):
        table1(rows, {})


def test_a_missing_metric_names_its_row(result):
    baseline = result("a")
    without = {k: v for k, v in baseline.metrics.items() if k != "ap75"}
    with pytest.raises(DataError, match="row a 130000: expected ap75"):
        table1([replace(baseline, metrics=without), result("a+b")], {})


def test_a_metric_without_truth_stays_blank(result):
    baseline = result("a")
    metrics = {**baseline.metrics, "ap_medium": None}
    table = table1([replace(baseline, metrics=metrics), result("a+b")], {})
    assert pd.isna(line(table, "supervised")["ap_medium"])


def test_no_distilled_row_makes_an_empty_table(result):
    assert to_csv(table1([result("a")], {})) == ",".join(columns(METRICS)) + "\n"


def test_the_csv_has_two_decimals_and_the_same_bytes_every_time(result, unions, paper):
    def written():
        rows = [result("co-35"), result("co-35+co-80", HALF, iterations=360000)]
        return to_csv(table1(rows, unions, paper))

    text = written()
    assert text == written()
    first, second = text.splitlines()[1:]
    assert first.startswith("1a,supervised,co-35,,small,130000,1,50.50,")
    named = dict(zip(text.splitlines()[0].split(","), first.split(","), strict=True))
    filled = {name: value for name, value in named.items() if name.startswith("paper") and value}
    assert list(filled.values()) == ["54.90", "80.50", "59.00", "50.10", "62.80"]
    assert (named["gain"], named["gain_p"], named["seed_sd"]) == ("", "", "")
    assert second.startswith("1a,distilled,co-35,co-80,small,360000,1,50.50,")
    assert ",0.00," in second
    assert "-0.00" not in text
    again = pd.read_csv(io.StringIO(text))
    assert list(again.columns) == list(columns(METRICS))


def test_other_peoples_data_have_no_paper_columns_filled(result, paper):
    rows = [result("street"), result("street+crowd", MOST)]
    table = table1(rows, {}, paper)
    assert table.filter(like="paper").isna().all(axis=None)


def test_seeds_that_find_different_images_are_surer_together(result):
    seeds = [result("a", found, seed=n) for n, found in enumerate([FIRST, HALF])]
    found = line(table1([*seeds, result("a+b")], {}), "supervised")
    widths = [np.ptp(r.metrics["interval"]) for r in seeds]
    assert found["ap_high"] - found["ap_low"] < max(widths)


def test_a_size_of_which_val_has_nothing_has_no_number(result):
    bare = result("a")
    metrics = {name: value for name, value in bare.metrics.items() if name != "ap_large"}
    table = table1([replace(bare, metrics=metrics), result("a+b")], {})
    assert pd.isna(line(table, "supervised")["ap_large"])
    assert line(table, "supervised")["ap_medium"] == bare.metrics["ap_medium"]


@pytest.fixture
def as_published_boxes(result):
    """Every line of the paper's table 4, as if its numbers were ours."""
    lines = []
    for line in (
        published("table4_detection")
        .drop_duplicates(["backbone", "labelled", "unlabelled"])
        .to_dict("records")
    ):
        distilled = isinstance(line["unlabelled"], str)
        name = f"{line['labelled']}+{line['unlabelled']}" if distilled else line["labelled"]
        metrics = {key: line[key] for key in BOX_METRICS} | {"interval": [line["ap"], line["ap"]]}
        length = 360000 if distilled else 130000
        lines.append(result(name, iterations=length, backbone=line["backbone"], metrics=metrics))
    return lines


def test_table_4_has_the_papers_settings_and_ap_of_small_boxes(as_published_boxes, unions):
    table = table4(
        as_published_boxes, unions, numbers(published("table4_detection")), sampling=Sampling(20)
    )
    first = table[table["table"] == "4a"]
    assert first["role"].tolist() == ["supervised", "distilled", "upper bound"]
    assert list(table["table"].unique()) == ["4a", "4b"]
    assert table[table["table"] == "4b"]["backbone"].nunique() == 3
    for name in BOX_METRICS:
        np.testing.assert_allclose(table[name], table[f"paper_{name}"])
    assert line(first, "distilled")["paper_gain"] == pytest.approx(1.8)
    assert round(line(first, "distilled")["paper_gap_closed"]) == 27
    assert "| APS |" in to_markdown(table)


def test_table_1_has_no_column_of_small_people(result):
    table = table1([result("a"), result("a+b")], {})
    assert "ap_small" not in table.columns
    assert "APS" not in to_markdown(table)


def test_papers_numbers_of_boxes_stand_beside_any_length_but_no_control(
    as_published_boxes, result, unions
):
    control = result("co-35", iterations=900000, backbone="resnet50", row="control")
    metrics = {**control.metrics, "ap_small": 1.0}
    rows = [*as_published_boxes, replace(control, metrics=metrics)]
    rows[1] = replace(rows[1], iterations=900000)
    table = table4(rows, unions, numbers(published("table4_detection")), sampling=Sampling(20))
    first = table[table["table"] == "4a"]
    assert pd.isna(line(first, "control")["paper_ap"])
    assert line(first, "distilled")["iterations"] == 900000
    assert line(first, "distilled")["paper_gain"] == pytest.approx(1.8)
