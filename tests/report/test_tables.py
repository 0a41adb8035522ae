import io
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from datastill.errors import DataError
from datastill.evaluation.bootstrap import bootstrap, interval, paired_interval
from datastill.report.pages import to_markdown
from datastill.report.paper import BOX_METRICS, METRICS, numbers, published
from datastill.report.render import to_csv
from datastill.report.seed_variance import seed_variance
from datastill.report.tables import columns, comparison_table

table1 = partial(comparison_table, "table1")
table4 = partial(comparison_table, "table4")

FIRST, MOST, HALF, FEW = range(1, 11), range(1, 17), range(11, 21), range(1, 5)


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
    assert round(found["gap_closed"]) == round(found["paper_gap_closed"]) == 52
    assert found["paper_gain"] == pytest.approx(5.3)
    assert line(table[table["table"] == "1a"], "upper bound")["paper_gain"] == pytest.approx(10.2)
    assert table[table["table"] != "1a"]["gap_closed"].isna().all()
    np.testing.assert_allclose(table["ap"], table["paper_ap"])


@pytest.mark.parametrize(("upper", "closed"), [(range(1, 21), True), (range(2, 12), False)])
def test_a_gap_that_may_be_none_is_not_closed(result, upper, closed):
    rows = [result("a", FIRST), result("a+b", range(1, 16)), result("a and b", upper)]
    table = table1(rows, {"a and b": frozenset({"a", "b"})})
    assert pd.notna(line(table, "distilled")["gap_closed"]) == closed


def test_a_gain_that_may_be_none_closes_no_gap(result, unions):
    rows = [result("co-35", FIRST), result("co-35+co-80", range(1, 12)), result("co-115", MOST)]
    found = line(table1(rows, unions), "distilled")
    assert (found["gain"] > 0, found["gain_verdict"]) == (True, "not distinguishable")
    assert pd.isna(found["gap_closed"])


def test_sections_and_lines_come_in_the_papers_order(as_published, unions, paper):
    table = table1(as_published, unions, paper, resamples=50)
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
    assert list(table["iterations"]) == [130000, 360000, 360000, 130000]
    found = line(table, "distilled")
    assert found["control_gain"] == pytest.approx(100 * 20 / 101)
    assert found["control_gain_low"] < found["control_gain"] < found["control_gain_high"]
    assert found["gap_closed"] == pytest.approx(60)
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
    seeds = [result("a", found, seed=n) for n, found in enumerate([FIRST, HALF, MOST])]
    distilled = [result("a+b", range(1, 19), seed=n) for n in range(2)]
    table = table1([*seeds, *distilled], {})
    found = line(table, "supervised")
    aps = [ap_of_images(images) for images in (FIRST, HALF, MOST)]
    assert (found["seeds"], found["ap"]) == (3, pytest.approx(np.mean(aps)))
    assert found["ap_sd"] == pytest.approx(np.std(aps, ddof=1))
    # who finds nothing has AP 0 in every resample, so the gain over it is the mean itself
    _, expected = paired_interval(result("a", []).matches, [r.matches for r in seeds])
    assert (found["ap_low"], found["ap_high"]) == pytest.approx(expected)
    gain, alone = paired_interval([r.matches for r in seeds], [r.matches for r in distilled])
    found = line(table, "distilled")
    assert found["gain"] == pytest.approx(gain)
    assert found["ap_sd"] == 0
    # other images are not all that could have been: other seeds could have been, too
    values = {"a": aps, "a+b": [r.metrics["ap"] for r in distilled]}
    moved = seed_variance(values).of_difference(3, 2, 1000)
    images = np.mean([bootstrap(r.matches) for r in distilled], axis=0)
    images -= np.mean([bootstrap(r.matches) for r in seeds], axis=0)
    expected = interval(images + moved, 20, difference=True)
    assert (found["gain_low"], found["gain_high"]) == pytest.approx(expected)
    assert found["gain_low"] < alone[0] < alone[1] < found["gain_high"]


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
    assert first.endswith(",,,,,,,,,54.90,80.50,59.00,50.10,62.80,,,,,")
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
    table = table4(as_published_boxes, unions, numbers(published("table4_detection")), resamples=20)
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
    table = table4(rows, unions, numbers(published("table4_detection")), resamples=20)
    first = table[table["table"] == "4a"]
    assert pd.isna(line(first, "control")["paper_ap"])
    assert line(first, "distilled")["iterations"] == 900000
    assert line(first, "distilled")["paper_gain"] == pytest.approx(1.8)
