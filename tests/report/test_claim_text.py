"""Sentences that have no number of their own."""

from pathlib import PurePath

import pytest

from datastill.errors import DataError
from datastill.report.claim_text import evidence, sentence, stray_digits, summary
from datastill.report.claims import Cell, Claim

TABLE = "results/seeds/table1.csv"
STUDENT = Cell(TABLE, "gain", 4.0, 2.8, 5.21, 0.024)


def claim(says, rule="gain", seeds=None, **cells):
    return Claim("id", says, rule, "+5.3", cells or {"student": STUDENT}, seeds=seeds or {})


@pytest.mark.parametrize(
    ("cell", "full", "value"),
    [
        (STUDENT, "+4.0 [2.8, 5.2]", "+4.0"),
        (Cell(TABLE, "control_gain", -0.04, -1.0, 1.0), "+0.0 [-1.0, 1.0]", "+0.0"),
        (Cell(TABLE, "ap", 33.78, 31.04, 37.1), "33.8 [31.0, 37.1]", "33.8"),
        (Cell(TABLE, "paper_gain", 5.3), "+5.3", "+5.3"),
        (Cell(TABLE, "gap_closed", 50.43), "50.4", "50.4"),
        (Cell(TABLE, "gap_closed", 50.43, 40.0, 61.0), "50.4 [40.0, 61.0]", "50.4"),
        (Cell(TABLE, "iterations", 130000.0), "130,000", "130,000"),
    ],
)
def test_a_placeholder_is_a_cell_as_tables_show_it(cell, full, value):
    quoting = Claim("id", "{c} or {c.value}", "gain", "", {"student": STUDENT}, {"c": cell})
    assert sentence(quoting) == f"{full} or {value}"


def test_the_verdict_and_the_seeds_are_words_of_the_sentence():
    assert sentence(claim("It is {verdict}.")) == "It is reproduced."
    aps = {name: Cell(TABLE, "ap", value) for name, value in (("few", 1.0), ("all", 2.0))}
    for seeds, words in (
        ({0: [0, 1], 1: [2, 3]}, "in each of 2 seeds; reproduced"),
        ({0: [0, 3], 1: [2, 1]}, "in 1 of 2 seeds, not in seed 1; reproduced in part"),
        (
            {0: [0, 9], 2: [2, 1], 4: [1, 0], 5: [1, 1]},
            "in 1 of 4 seeds, not in seeds 2, 4 and 5; reproduced in part",
        ),
        ({0: [2, 1], 1: [2, 2]}, "in none of 2 seeds; reproduced in part"),
    ):
        assert sentence(claim("{seeds}; {verdict}", "order", seeds, **aps)) == words


@pytest.mark.parametrize(
    "says",
    ["It gains 4.0.", "It gains +4 [{student}]", "of 17 views", "in 2018", "co-35-180k", "½ of it"],
)
def test_a_number_of_its_own_is_refused(says):
    with pytest.raises(DataError, match="says: expected a placeholder for every number"):
        sentence(claim(says))


def test_names_may_have_digits():
    names = "co-35, co-115, un-120, s1m-180, 18 views, table 3, Figure 6 and section 4"
    assert stray_digits(names) == ""
    assert stray_digits("table 33 or co-35x") == "33, co-35x"


@pytest.mark.parametrize("says", ["{teacher}", "{student.p}", "{}", "{seeds}"])
def test_a_placeholder_without_a_cell_is_refused(says):
    with pytest.raises(DataError, match=r"no cell for {.*}; there are verdict, student"):
        sentence(claim(says))


def test_a_page_links_the_table_from_where_it_is():
    gained = claim("It gains {student}.")
    assert summary(gained, PurePath()) == (
        "**Reproduced.** It gains +4.0 [2.8, 5.2]. Paper: +5.3. "
        "([seeds/table1](results/seeds/table1.md))"
    )
    assert evidence(gained, PurePath("results")) == (
        "**Reproduced.** It gains +4.0 [2.8, 5.2]. Paper: +5.3. "
        "Measured, [seeds/table1](seeds/table1.md): student +4.00 [2.80, 5.21], p = 0.0240."
    )


def test_the_evidence_has_every_seed():
    aps = {name: Cell(TABLE, "ap", value) for name, value in (("few", 1.0), ("all", 2.0))}
    ordered = claim("Words.", "order", {0: [0.5, 1.5], 3: [1.5, 2.5]}, **aps)
    assert evidence(ordered, PurePath("results")).endswith(
        "; seed 0: 0.50 1.50; seed 3: 1.50 2.50."
    )
