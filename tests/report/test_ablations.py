from dataclasses import replace
from functools import partial
from statistics import stdev

import numpy as np
import pytest

from datastill.errors import DataError
from datastill.evaluation.bootstrap import bootstrap, interval
from datastill.report.ablations import ablation_table
from datastill.report.grouping import pool_seeds
from datastill.report.pages import to_markdown
from datastill.report.seed_variance import BetweenSeeds, Sampling, SeedVariance
from datastill.report.tables import comparison_table

table1 = partial(comparison_table, "table1")
IMAGES = 20  # of the truth
VIEWS = ((8, 10), (12, 15))  # found through one view and through all, by seed


def both_intervals(images, noise, *, difference=False):
    """The interval over images and seeds, never narrower than that over images alone."""
    moved = np.clip(images + noise, -100 if difference else 0, 100)
    bounds = [interval(sample, IMAGES, difference=difference) for sample in (images, moved)]
    return min(low for low, _ in bounds), max(high for _, high in bounds)


def first(count):
    return range(1, count + 1)


def by_row(table):
    return {line["row"]: line for line in table.to_dict("records")}


def test_table_2_compares_each_student_with_labels_alone_for_as_long(
    teacher, student, ap_of_images
):
    rows = [
        teacher(),
        teacher("long", 10, 270000),
        student("s-130", 9, 130000, labelled="co-115+s1m-180"),
        student("s-270", 16, 270000, labelled="co-115+s1m-180"),
        student("elsewhere", 16, 270000),
    ]
    lines = by_row(ablation_table("table2", rows))
    assert list(lines) == ["teacher", "long", "s-130", "s-270"]
    assert lines["s-270"]["control"] == "long"
    ours = ap_of_images(first(16)) - ap_of_images(first(10))
    assert lines["s-270"]["control_gain"] == pytest.approx(ours)
    assert lines["s-270"]["over"] == "teacher"
    assert lines["s-270"]["gain"] == pytest.approx(ap_of_images(first(16)) - ap_of_images(first(8)))
    assert [lines[row]["paper_ap"] for row in ("teacher", "long", "s-270")] == [65.1, 64.7, 66.5]
    assert np.isnan(lines["s-130"]["paper_ap"])


def test_departures_and_other_labels_or_backbones_have_no_place_in_table_2(
    teacher, student, result
):
    rows = [
        teacher(),
        teacher("long", 10, 270000),
        result("co-35", first(3), row="fewer labels", iterations=270000),
        teacher("slim", 3, 270000, backbone="slim"),
        student("s-130", 9, 130000),
        student("s-270", 16, 270000),
        *(student(f"part {n}", 9, 130000 + n, fraction=n / 10) for n in range(1, 5)),
    ]
    lines = by_row(ablation_table("table2", rows))
    assert list(lines) == ["teacher", "long", "s-130", "s-270"]
    assert lines["s-270"]["control"] == "long"


def test_a_gain_of_many_images_is_one_and_a_gain_of_one_image_is_none(teacher, student):
    rows = [teacher(), student("a", 18, 130000), student("b", 9, 260000)]
    lines = by_row(ablation_table("table2", rows))
    assert lines["a"]["gain_verdict"] == "gain"
    assert lines["b"]["gain_verdict"] == "not distinguishable"
    assert lines["b"]["gain"] > 0


def test_p_values_are_corrected_for_each_other(teacher, student):
    """Alone, four images more of twenty are a difference; among many, they are none."""
    few = [teacher(), student("a", 13, 130000), student("b", 8, 140000)]
    many = [*few, *(student(f"c{i}", 8, 150000 + i) for i in range(12))]
    p_few, p_many = (by_row(ablation_table("table2", rows))["a"]["gain_p"] for rows in (few, many))
    assert p_few < 0.05 < p_many


def test_table_3_shows_one_view_and_all_of_what_was_tested_so(teacher, student, ap_of_images):
    rows = [teacher(many=16), student("untested", 9)]
    table = ablation_table("table3", rows).to_dict("records")
    assert [(line["row"], line["test_views"]) for line in table] == [
        ("teacher", 1),
        ("teacher", 18),
    ]
    assert table[1]["ap"] == pytest.approx(ap_of_images(first(16)))
    assert [table[0]["ap_low"], table[0]["ap_high"]] == rows[0].metrics["interval"]
    assert table[1]["gain"] == pytest.approx(ap_of_images(first(16)) - ap_of_images(first(8)))
    assert (table[1]["over"], table[1]["gain_verdict"]) == ("teacher", "gain")
    assert table[1]["gain_p"] == pytest.approx(
        2 / 1001, abs=5e-5
    )  # no draw of 1,000 says otherwise
    assert [line["paper_ap"] for line in table] == [65.1, 67.8]
    assert table[1]["paper_gain"] == pytest.approx(2.7)


@pytest.mark.parametrize(("ablation", "paper"), [({}, [67.1, 68.9]), ({"views": 1}, [None] * 2)])
def test_table_3_has_the_papers_student_beside_one_by_its_method(result, ablation, paper):
    student = result("co-115+un-120", first(8), iterations=180_000, ablation=ablation)
    student.metrics["with_views"] = {**student.metrics, "views": 18}
    table = ablation_table("table3", [replace(student, all_views=student.matches)])
    assert [None if np.isnan(ap) else ap for ap in table["paper_ap"]] == paper


def test_seeds_widen_a_gain_as_much_as_that_very_kind_of_gain_varies(
    teacher, student, ap_of_images
):
    def lines(found):
        rows = [
            teacher(many=10),
            replace(teacher("again", found, many=found + 3), seed=1),
            student("a", 12, 130000),
            replace(student("a-1", 12, 130000, teacher="again"), seed=1),
            student("b", 9, 260000),
        ]
        return rows, *(ablation_table(name, pool_seeds(rows)) for name in ("table2", "table3"))

    (_, alike, _), (rows, apart, views) = lines(8), lines(12)
    widths = [by_row(table)["a"] for table in (alike, apart)]
    narrow, wide = (line["gain_high"] - line["gain_low"] for line in widths)
    assert wide > 2 * narrow
    differences = [bootstrap(r.all_views) - bootstrap(r.matches) for r in rows[:2]]
    found = views.to_dict("records")[1]
    gains = [ap_of_images(first(many)) - ap_of_images(first(one)) for one, many in VIEWS]
    noise = stdev(gains) / np.sqrt(2) * np.random.default_rng(0).standard_t(1, 1000)
    expected = both_intervals(np.mean(differences, axis=0), noise, difference=True)
    assert (found["gain_low"], found["gain_high"]) == pytest.approx(expected)


def test_figure_5_starts_with_no_unlabelled_image(teacher, student):
    rows = [
        teacher(),
        student("all", 12, 260000, fraction=1.0, labelled_share=0.5),
        student("half", 10, 195000, fraction=0.5, labelled_share=0.6667),
        teacher("control", 9, 260000),
    ]
    table = ablation_table("figure5", rows)
    lines = by_row(table)
    assert [row for row in lines if row != "paper"] == ["teacher", "half", "all"]
    assert [lines[row]["x"] for row in ("teacher", "half", "all")] == [0, 0.5, 1]
    assert {lines[row]["over"] for row in ("half", "all")} == {"teacher"}
    assert lines["all"]["control"] == "control"
    assert lines["half"]["paper_ap"] == 66.4
    points = table[table["role"] == "paper"]
    assert len(points) == 11
    assert points["paper_ap"].iloc[-1] == 66.9


def test_figure_6_orders_students_by_what_their_teacher_is_worth_as_it_annotates(
    teacher, student, ap_of_images
):
    rows = [
        teacher(many=12),
        teacher("weak", 4, many=6, backbone="slim"),
        teacher("control", 9, 180000),
        student("of weak", 9, teacher="weak"),
        student("one view", 10, views=1),
        student("all views", 11),
        student("strong", 12, augmentation="strong"),
    ]
    lines = by_row(ablation_table("figure6", rows))
    ours = [row for row in lines if row != "paper"]
    assert ours == ["of weak", "one view", "all views"]
    assert lines["of weak"]["x"] == pytest.approx(ap_of_images(first(6)))
    assert lines["one view"]["x"] == pytest.approx(rows[0].metrics["ap"])
    assert lines["all views"]["x"] == pytest.approx(ap_of_images(first(12)))
    assert {lines[row]["control"] for row in ours} == {"control"}


def test_figure_6_takes_plain_ap_of_teachers_not_tested_with_all_views_or_that_used_few(
    teacher, student
):
    rows = [
        teacher(many=12),
        teacher("untested", 4),
        student("of untested", 9, teacher="untested"),
        student("four views", 10, views=4),
    ]
    lines = by_row(ablation_table("figure6", rows))
    assert lines["of untested"]["x"] == pytest.approx(rows[1].metrics["ap"])
    assert lines["four views"]["x"] == pytest.approx(rows[0].metrics["ap"])


def test_beyond_compares_departures_with_the_student_of_their_own_teacher(teacher, student):
    rows = [
        teacher("weak", 4),
        teacher(),
        student("of weak", 9, teacher="weak"),
        student("plain", 12),
        student("fine-tuned", 8, start="teacher"),
    ]
    lines = by_row(ablation_table("beyond", rows))
    assert list(lines) == ["plain", "fine-tuned"]
    assert lines["fine-tuned"]["over"] == "plain"


def test_a_size_without_truth_leaves_a_gap(teacher, student):
    rows = [teacher(), student("a", 12, 130000), student("b", 13, 260000)]
    for row in rows:
        del row.metrics["ap_large"]
    table = ablation_table("table2", rows)
    assert table["ap_large"].isna().all()
    assert table["ap"].notna().all()


def test_beyond_compares_each_departure_with_the_method_and_the_method_with_its_control(
    teacher, student
):
    rows = [
        teacher(),
        teacher("control", 9, 180000),
        student("plain", 12),
        student("one view", 10, views=1),
        student("a fraction", 10, fraction=0.5),
        student("fine-tuned", 8, start="teacher"),
    ]
    lines = by_row(ablation_table("beyond", rows))
    assert list(lines) == ["control", "plain", "one view", "fine-tuned"]
    assert lines["plain"]["over"] == "control"
    assert lines["one view"]["over"] == "plain"
    assert lines["one view"]["ablation"] == "views 1"


def test_table_2_shows_no_length_that_none_of_its_students_has(teacher, student):
    rows = [teacher(), teacher("elsewhere", 9, 156000), *(student(f"{n}", 9, n) for n in (1, 2))]
    assert "elsewhere" not in by_row(ablation_table("table2", rows))


def test_rows_that_differ_in_their_seed_alone_are_one_line(teacher, student, ap_of_images):
    rows = [
        teacher(many=9),
        teacher("teacher-1", 10, many=12, seed=1),
        student("a", 12, 130000),
        student("a-1", 15, 130000, teacher="teacher-1"),
        student("b", 9, 260000),
    ]
    rows[3] = replace(rows[3], seed=1)
    table = ablation_table("table2", pool_seeds(rows))
    lines = by_row(table)
    assert list(lines) == ["teacher", "a", "b"]
    ours, theirs = ([ap_of_images(first(n)) for n in found] for found in ((12, 15), (8, 10)))
    assert lines["a"]["ap"] == pytest.approx(np.mean(ours))
    assert lines["a"]["ap_sd"] == pytest.approx(np.std(ours, ddof=1))
    assert lines["a"]["control_gain"] == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert lines["a"]["ap_low"] < lines["a"]["ap"] < lines["a"]["ap_high"]
    assert (lines["a"]["rows"], lines["a"]["seeds"], lines["b"]["seeds"]) == ("a a-1", 2, 1)
    assert f"± {lines['a']['ap_sd']:.1f}" in to_markdown(table)
    views = ablation_table("table3", pool_seeds(rows)).to_dict("records")
    assert views[1]["gain"] == pytest.approx(
        np.mean([ap_of_images(first(9)), ap_of_images(first(12))]) - np.mean(theirs)
    )


@pytest.mark.parametrize("name", ["table2", "table3", "figure5", "figure6", "beyond"])
def test_a_table_without_its_rows_says_what_it_needs(teacher, name):
    with pytest.raises(DataError, match="expected"):
        ablation_table(name, [teacher()])


def test_table_1_leaves_rows_with_an_ablation_out(teacher, student):
    rows = [teacher(), student("plain", 12), student("one view", 10, views=1)]
    table = table1(rows, {})
    assert table["role"].tolist() == ["supervised", "distilled"]
    assert table["ap"].iloc[1] == rows[1].metrics["ap"]


def test_the_student_of_a_student_is_a_line_of_its_own(teacher, student):
    rows = [teacher(), student("one", 12), student("two", 14, teacher="one")]
    table = table1(rows, {})
    assert table["role"].tolist() == ["supervised", "distilled", "distilled"]
    assert table["round"].tolist() == [1, 1, 2]
    assert table["ap"].iloc[2] == rows[2].metrics["ap"]
    assert "| distilled, round 2 |" in to_markdown(table)


def in_both_ways(build, one, many, **changes):
    """A row that finds so many people through one view, and through all."""
    made, through_all = (build(found=found, **changes) for found in (one, many))
    made.metrics["with_views"] = {**through_all.metrics, "views": 18}
    return replace(made, all_views=through_all.matches)


def test_table_3_tests_whether_a_student_gains_less_from_views_than_its_teacher(
    teacher, student, ap_of_images
):
    """A difference of two gains, each image and each seed for itself."""
    finds = {"teacher": [(5, 15), (10, 15)], "a": [(10, 15), (10, 16)]}
    rows = []
    for seed in range(2):
        one, many = finds["teacher"][seed]
        rows.append(teacher(f"teacher-{seed}", one, many=many, seed=seed))
        of_seed = {"row": f"a-{seed}", "teacher": f"teacher-{seed}"}
        rows.append(replace(in_both_ways(student, *finds["a"][seed], **of_seed), seed=seed))
    table = ablation_table("table3", pool_seeds(rows)).to_dict("records")
    assert [(line["row"], line["test_views"]) for line in table] == [
        ("teacher-0", 1), ("teacher-0", 18), ("a-0", 1), ("a-0", 18),
    ]  # fmt: skip
    line = table[3]
    assert (line["over"], line["control"]) == ("a-0", "teacher-0")
    assert all(np.isnan(other["control_gain"]) for other in table[:3])

    gains = {
        row: [ap_of_images(first(many)) - ap_of_images(first(one)) for one, many in pairs]
        for row, pairs in finds.items()
    }
    less = np.subtract(gains["a"], gains["teacher"])
    assert line["gain"] == pytest.approx(np.mean(gains["a"]))
    assert line["control_gain"] == pytest.approx(np.mean(less))
    assert line["control_gain"] < 0
    sd = np.sqrt(np.mean([np.var(gains[row], ddof=1) for row in gains]))
    assert (line["seed_gain_sd"], line["seed_gain_degrees"]) == (pytest.approx(sd), 2)

    of_views = {row.row: bootstrap(row.all_views) - bootstrap(row.matches) for row in rows}
    images = [of_views[f"a-{seed}"] - of_views[f"teacher-{seed}"] for seed in range(2)]
    # of two seeds, a difference of two gains: half of twice the variance of one
    noise = sd * np.random.default_rng(0).standard_t(2, 1000)
    expected = both_intervals(np.mean(images, axis=0), noise, difference=True)
    assert (line["control_gain_low"], line["control_gain_high"]) == pytest.approx(expected)


def test_gains_of_single_runs_borrow_their_variance(teacher, student):
    rows = [teacher(), student("a", 16, 130000), student("b", 9, 260000)]
    lent = BetweenSeeds(ap=SeedVariance(2.0, 10), gain=SeedVariance(5.0, 6))
    line = by_row(ablation_table("table2", rows, Sampling(500, lent)))["a"]
    images = [bootstrap(row.matches, 500) for row in rows[:2]]
    draws = np.random.default_rng
    expected = both_intervals(images[1], 2 * draws(0).standard_t(10, 500))
    assert (line["ap_low"], line["ap_high"]) == pytest.approx(expected)
    noise = 5 * draws(0).standard_t(6, 500)
    expected = both_intervals(images[1] - images[0], noise, difference=True)
    assert (line["gain_low"], line["gain_high"]) == pytest.approx(expected)
    kept = [line[f"seed_{name}"] for name in ("sd", "degrees", "gain_sd", "gain_degrees")]
    assert kept == [2.0, 10, 5.0, 6]


def test_a_gain_is_over_the_seeds_that_both_rows_have(teacher, student, ap_of_images):
    """The teacher has a third seed, far worse; no student of it was trained."""
    rows = [
        *(teacher(f"teacher-{n}", found, seed=n) for n, found in enumerate((8, 10, 1))),
        *(replace(student(f"a-{n}", 15, 130000, f"teacher-{n}"), seed=n) for n in range(2)),
        student("b", 9, 260000, "teacher-0"),
    ]
    lines = by_row(ablation_table("table2", pool_seeds(rows)))
    assert lines["teacher-0"]["seeds"] == 3
    before = [ap_of_images(first(found)) for found in (8, 10)]
    assert lines["a-0"]["gain"] == pytest.approx(ap_of_images(first(15)) - np.mean(before))


def test_beyond_has_a_row_of_another_share_and_a_rule_for_keypoints(teacher, student):
    rows = [teacher(), student("plain", 12), student("half", 10, labelled_share=0.5)]
    rows += [student("all", 9, keypoints="all"), student("part", 9, fraction=0.5)]
    lines = by_row(ablation_table("beyond", rows))
    assert list(lines) == ["plain", "half", "all"]
    assert lines["all"]["ablation"] == "keypoints all"
