from functools import partial

import pytest

from datastill.report.ablations import ablation_table
from datastill.report.grouping import pool_seeds
from datastill.report.pages import to_markdown, to_text
from datastill.report.render import WIDTH
from datastill.report.seed_variance import BetweenSeeds, Sampling, SeedVariance
from datastill.report.tables import comparison_table

table1 = partial(comparison_table, "table1")


@pytest.fixture
def small(result, unions, paper):
    """Section 1a with a control, a distilled line that gains nothing sure, and several seeds."""
    rows = [
        *(result("co-35", range(1, 11 + seed), seed=seed) for seed in range(2)),
        result("co-35", range(1, 12), iterations=360000),
        result("co-35+co-80", range(7, 18), iterations=360000),
        result("co-115", range(1, 19)),
    ]
    return table1(rows, unions, paper)


def test_markdown_has_a_titled_table_per_section(as_published, unions, paper):
    table = table1(as_published, unions, paper)
    text = to_markdown(table)
    titles = [line for line in text.splitlines() if line.startswith("**")]
    assert titles == [
        "**1a: co-35 labelled, co-80 unlabelled**",
        "**1b: co-115 labelled, un-120 unlabelled**",
        "**1c: co-115 labelled, s1m-180 unlabelled**",
    ]
    assert "| resnext101_64x4d |" in text
    assert "Distillation reaches" not in text  # the upper bounds are shorter than the students


def test_sets_named_labelled_and_unlabelled_are_titled_as_images(result):
    rows = [result("labelled", range(1, 11)), result("labelled+unlabelled", range(1, 16))]
    assert "**1a: labelled images, unlabelled images**" in to_markdown(table1(rows, {}))


def test_a_sentence_has_the_share_of_the_gap_with_its_interval(result, unions):
    rows = [
        result("co-35", range(1, 11)),
        result("co-35+co-80", range(1, 16)),
        result("co-115", range(1, 21)),
    ]
    table = table1(rows, unions)
    low, high = (table.iloc[1][f"gap_closed_{end}"] for end in ("low", "high"))
    sentence = (
        f"Distillation reaches 50 % [{low:.0f}, {high:.0f}] of the gain from the true labels of "
        "co-80 (upper bound: co-115)."
    )
    assert sentence in to_markdown(table)
    assert sentence in " ".join(to_text(table).split())


def test_the_page_says_what_its_intervals_hold(result):
    rows = [result("a", range(1, 11)), result("a+b", range(1, 17))]
    alone = to_markdown(table1(rows, {}))
    assert "cover the sampling of val images;" in alone
    assert alone.endswith(
        "They do not cover the variation between seeds. All rows of a section train for the same "
        "number of iterations, so each gain is over a control.\n"
    )
    lent = BetweenSeeds(SeedVariance(0.44, 10), SeedVariance(0.61, 8))
    single = to_markdown(table1(rows, {}, sampling=Sampling(50, lent)))
    assert "cover the sampling of val images and of seeds;" in single
    assert "0.4 for AP and 0.6 for a gain, borrowed from a profile with several seeds." in single
    more = [*rows, result("a", range(1, 13), seed=1), result("a+b", range(1, 18), seed=1)]
    several = to_markdown(table1(more, {}))
    assert "paired over the images and the seeds" in several
    assert "borrowed" not in several
    longer = [rows[0], result("a+b", range(1, 17), iterations=360000)]
    assert "the same number of iterations, so" not in to_markdown(table1(longer, {}))


def test_markdown_puts_the_paper_beside_ours(small):
    lines = to_markdown(small).splitlines()
    header, _, baseline, control, distilled, upper = (x for x in lines if x.startswith("|"))
    assert header == (
        "| training | labelled | unlabelled | iterations | seeds | AP [95 %] ± sd of seeds | AP50 "
        "| AP75 | APM | gain [95 %] | over control | paper AP | paper gain |"
    )
    assert baseline.startswith("| supervised | co-35 |  | 130,000 | 2 | 53.0 [")
    assert baseline.endswith("] ± 3.5 | 53.0 | 53.0 | 53.0 |  |  | 54.9 |  |")
    assert control.startswith(
        "| control | co-35 |  | 360,000 | 1 | 55.5 ["
    )  # of 55.4455, as the CSV: 55.45
    assert control.endswith(" |  |  |  |")
    assert distilled.startswith(
        "| distilled | co-35 | co-80 | 360,000 | 1 | 55.5 ["
    )  # of 55.4455, as the CSV: 55.45
    assert "| +5.0 [" in distilled  # over the seed that both have
    assert "] not distinguishable | +0.0 [" in distilled
    assert distilled.endswith("] not distinguishable | 60.2 | +5.3 |")
    assert upper.endswith(" | 65.1 | +10.2 |")


def test_every_number_stands_in_its_own_column(as_published, unions, paper):
    table = table1(as_published, unions, paper, sampling=Sampling(20))
    low, high = table[["ap_low", "ap_high"]].iloc[0]
    row = (
        f"| supervised | co-35 |  | resnet50 | 130,000 | 1 | 54.9 [{low:.1f}, {high:.1f}] | 80.5 "
        "| 59.0 | 50.1 | 62.8 |"
    )
    assert row in to_markdown(table)


def test_each_gain_has_its_own_interval_and_verdict(result, unions):
    rows = [
        result("co-35", range(1, 11)),
        result("co-35", range(1, 17), iterations=360000),
        result("co-35+co-80", range(1, 18), iterations=360000),
    ]
    table = table1(rows, unions)
    line = table[table["role"] == "distilled"].iloc[0]
    assert (line["gain_verdict"], line["control_gain_verdict"]) == ("gain", "not distinguishable")
    rounded = line[line.map(lambda value: isinstance(value, float))].astype(float).round(2)
    over, control = (
        f"{rounded[name]:+.1f} [{rounded[f'{name}_low']:z.1f}, {rounded[f'{name}_high']:z.1f}]"
        for name in ("gain", "control_gain")
    )
    assert f"| {over} | {control} not distinguishable |" in to_markdown(table)
    (text,) = [each for each in to_text(table).splitlines() if each.startswith("distilled")]
    assert text.index(over) < text.index(f"{control} ~")


def test_markdown_of_other_data_does_not_mention_the_paper(result):
    rows = [result("street"), result("street+crowd", range(1, 17), iterations=900)]
    text = to_markdown(table1(rows, {}))
    assert "paper" not in text
    assert "control" not in text
    assert "backbone" not in text
    assert "| distilled | street | crowd | 900 | 1 | 80.2 [" in text


def test_every_markdown_row_has_the_cells_of_its_header(as_published, small, paper):
    table = table1(as_published, {}, paper, sampling=Sampling(50))
    for text in (to_markdown(small), to_markdown(table)):
        blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
        for block in blocks:
            assert len({line.count("|") for line in block}) == 1


def test_text_fits_the_terminal_and_marks_what_is_not_distinguishable(small, as_published, paper):
    table = table1(as_published, {}, paper, sampling=Sampling(50))
    for text in (to_text(small), to_text(table)):
        assert max(map(len, text.splitlines())) <= WIDTH == 110
    assert "] ~  " in to_text(small)
    assert to_text(small).endswith("~ not distinguishable from no gain\n")
    alone = table1(as_published[:2], {}, paper)
    assert "not distinguishable" not in to_text(alone)  # six people more of twenty


def test_text_has_the_lines_of_the_table(small):
    lines = to_text(small).splitlines()
    assert lines[0] == "1a: co-35 labelled, co-80 unlabelled"
    assert [line.split()[0] for line in lines[1:6]] == [
        "training",
        "supervised",
        "control",
        "distilled",
        "upper",
    ]
    assert lines[4].split()[1] == "360k"


def test_a_figure_has_its_picture_and_the_papers_points_in_text_too(teacher, student):
    rows = [teacher(many=12), student("all", 12, 260000, fraction=1.0, labelled_share=0.5)]
    table = ablation_table("figure5", rows)
    page = to_markdown(table)
    assert "![Figure 5" in page
    assert "(figure5.png)" in page
    assert "0.5: 66.4" in page
    assert "| all | fraction 1.0, labelled_share 0.5 | 260,000 | 1 |" in page
    (text,) = [each for each in to_text(table).splitlines() if each.startswith("all ")]
    assert text.split()[:5] == ["all", "fraction", "1.0,", "labelled_share", "0.5"]


def test_every_number_of_an_ablation_stands_in_its_own_column(teacher, student):
    rows = [teacher(), teacher("control", 9, 180000), student("plain", 12)]
    rows[2].metrics.update(ap50=81.0, ap75=62.0)
    table = ablation_table("beyond", [*rows, student("one view", 10, views=1)])
    lines = [line.split("|") for line in to_markdown(table).splitlines() if "|" in line]
    names, cells = ([cell.strip() for cell in line] for line in (lines[0], lines[3]))
    shown, line = dict(zip(names, cells, strict=True)), table.set_index("row").loc["plain"]
    assert (shown["row"], shown["gain over"]) == ("plain", "control")
    assert shown["AP [95 %]"] == f"{line['ap']:.1f} [{line['ap_low']:.1f}, {line['ap_high']:.1f}]"
    assert (shown["AP50"], shown["AP75"]) == ("81.0", "62.0")


def test_gains_from_views_borrow_nothing_and_their_page_says_of_what_the_variance_is(teacher):
    lent = BetweenSeeds(SeedVariance(0.44, 10), SeedVariance(0.61, 8))
    text = to_markdown(ablation_table("table3", [teacher(many=10)], Sampling(50, lent)))
    assert "between seeds is 0.4 for AP, borrowed from a profile with several seeds." in text
    assert "gains are paired over the images. " in text
    rows = [teacher(many=10), teacher("again", 12, many=15, seed=1)]
    table = ablation_table("table3", pool_seeds(rows), Sampling(50))
    assert table["seed_gain_sd"].notna().all()
    assert f"and {table['seed_gain_sd'].iloc[0]:.1f} for a gain." in to_markdown(table)
