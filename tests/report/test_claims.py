"""Verdicts at the borders of their rules, and what a cell has to be."""

import pytest

from datastill.errors import DataError
from datastill.report.claims import Cell, Claim, check_seeds, read_cell, select


def gain(value, low, high, p=None):
    return Cell("results/x/table1.csv", "gain", value, low, high, p)


UP, DOWN = gain(2.0, 0.1, 3.9, 0.0499), gain(-2.0, -3.9, -0.1, 0.0499)
UNSURE = gain(2.0, 0.1, 3.9, 0.05)  # its interval leaves 0 out, its corrected p-value does not
SAME = gain(0.5, -1.0, 1.0, 0.5)
SMALL = gain(0.5, 0.2, 0.8, 0.001)  # distinguishable, and no more than ±1
WIDE = gain(0.0, -1.01, 1.0, 1.0)
WITHOUT_P = gain(1.0, 0.01, 2.0)


def verdict(rule, *cells, seeds=None):
    named = {f"cell-{number}": cell for number, cell in enumerate(cells)}
    return Claim("claim", "Words.", rule, "", named, seeds=seeds or {}).verdict


def test_fewer_pixels_of_error_are_a_gain_and_never_within_a_limit_of_ap():
    fewer = Cell("results/x/table1.csv", "rmse_gain", -0.6, -0.9, -0.3, 0.01)
    more = Cell("results/x/table1.csv", "rmse_gain", 0.6, 0.3, 0.9, 0.01)
    assert verdict("gain", fewer) == "reproduced"
    assert verdict("gain", more) == "not reproduced"
    assert verdict("equal", fewer) == "different"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([UP], "reproduced"),
        ([UP, UP], "reproduced"),
        ([UP, UNSURE], "in part"),
        ([UNSURE], "inconclusive"),
        ([UNSURE, WIDE], "inconclusive"),
        ([UP, DOWN], "not reproduced"),
        ([UNSURE, DOWN], "not reproduced"),
        ([WITHOUT_P], "inconclusive"),
    ],
)
def test_a_gain_is_reproduced_where_every_p_value_and_sign_say_so(cells, expected):
    assert verdict("gain", *cells) == expected
    mirrored = [gain(-c.value, -c.high, -c.low, c.p) for c in cells]
    assert verdict("loss", *mirrored) == expected


@pytest.mark.parametrize(
    ("cells", "no_gain", "equal"),
    [
        ([SAME], "reproduced", "equal"),
        ([SMALL], "reproduced", "equal"),
        ([SAME, WIDE], "inconclusive", "inconclusive"),
        ([UNSURE], "inconclusive", "inconclusive"),
        ([SMALL, WIDE], "inconclusive", "inconclusive"),
        ([UP], "not reproduced", "different"),
        ([WIDE, DOWN], "not reproduced", "different"),
        ([SAME, DOWN], "not reproduced", "different"),
    ],
)
def test_no_gain_is_shown_by_intervals_and_not_by_the_lack_of_a_verdict(cells, no_gain, equal):
    assert verdict("no gain", *cells) == no_gain
    assert verdict("equal", *cells) == equal


def ap(value):
    return Cell("results/x/table1.csv", "ap", value, value - 2, value + 2)


@pytest.mark.parametrize(
    ("values", "seeds", "expected"),
    [
        ([1, 2, 3], {}, "reproduced"),
        ([1, 2, 2], {}, "not reproduced"),
        ([3, 2, 4], {}, "not reproduced"),
        ([1, 2], {0: [0, 1], 1: [2, 3]}, "reproduced"),
        ([1, 2], {0: [0, 3], 1: [2, 1]}, "in part"),
        ([1, 2], {0: [0, 3], 1: [2, 2]}, "in part"),
        ([2, 1], {0: [0, 1], 1: [4, 1]}, "not reproduced"),
    ],
)
def test_an_order_holds_in_every_seed_or_in_part(values, seeds, expected):
    assert verdict("order", *map(ap, values), seeds=seeds) == expected


@pytest.mark.parametrize("rule", ["gain", "loss", "no gain", "equal"])
@pytest.mark.parametrize(
    "cell",
    [ap(3), Cell("t", "gain", 1.0), Cell("t", "paper_gain", 1.0, 0.5, 2.0), Cell("t", "x", 1.0)],
)
def test_a_rule_of_gains_refuses_what_is_not_a_measured_gain(rule, cell):
    with pytest.raises(DataError, match=r"cell cell-1: rule .* judges gains with an interval"):
        verdict(rule, UP, cell)


def test_an_order_refuses_gains():
    with pytest.raises(DataError, match="cell cell-0: rule 'order' judges AP"):
        verdict("order", UP, ap(3))


def test_seeds_have_the_mean_that_the_table_has():
    cells = {"few": ap(1.0), "all": ap(2.0)}
    check_seeds(Claim("c", "", "order", "", cells, seeds={0: [0.5, 2.0], 1: [1.51, 2.0]}))
    with pytest.raises(DataError, match=r"cell all: 2.00 is not the mean of its seeds, 2, 2.02"):
        check_seeds(Claim("c", "", "order", "", cells, seeds={0: [1.0, 2.0], 1: [1.0, 2.02]}))


LINES = [
    {"table": "1a", "role": "control", "iterations": "360000", "x": "0.20"},
    {"table": "1a", "role": "distilled", "iterations": "360000", "x": ""},
    {"table": "1b", "role": "distilled", "iterations": "90000", "x": "0.50"},
]


def test_a_line_is_selected_by_any_columns():
    assert select(LINES, {"table": "1a", "role": "distilled"}) is LINES[1]
    assert select(LINES, {"iterations": 90000}) is LINES[2]
    assert select(LINES, {"x": 0.2}) is LINES[0]
    assert select(LINES, {"table": "1a", "x": ""}) is LINES[1]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"table": "1a"}, "expected one line with table 1a, found 2"),
        ({"table": "1c", "x": 1}, "expected one line with table 1c and x 1, found 0"),
        ({"tabel": "1a"}, "there is no column tabel; there are table, role"),
    ],
)
def test_no_line_or_several_are_refused(where, message):
    with pytest.raises(DataError, match=message):
        select(LINES, where)


def line(**changes):
    values = {"gain": "4.00", "gain_low": "2.80", "gain_high": "5.20", "gain_p": "0.0240"}
    return values | {"gain_verdict": "gain", "ap": "30.00", "ap_low": "", **changes}


def test_a_cell_has_the_interval_and_p_value_that_the_table_has():
    assert read_cell("t", line(), "gain") == Cell("t", "gain", 4.0, 2.8, 5.2, 0.024)
    assert read_cell("t", line(), "ap") == Cell("t", "ap", 30.0)


@pytest.mark.parametrize(
    ("changes", "column", "message"),
    [
        ({}, "gian", "there is no column gian"),
        ({"gain": ""}, "gain", "gain: expected a number, found ''"),
        ({"gain": "nan"}, "gain", "gain: expected a number, found 'nan'"),
        ({"gain_low": "low"}, "gain", "gain_low: expected a number, found 'low'"),
        ({"gain_p": ""}, "gain", "gain_p: expected a number, found ''"),
        ({"gain_verdict": "loss"}, "gain", "gain_verdict is 'loss', but .* is 'gain'"),
        ({"gain_verdict": ""}, "gain", "gain_verdict is '', but"),
        ({"gain_p": "0.0500"}, "gain", "gain_verdict is 'gain', but .* 'not distinguishable'"),
        ({"gain": "-4.00"}, "gain", "gain_verdict is 'gain', but .* is 'loss'"),
    ],
)
def test_a_cell_that_is_not_there_or_contradicts_its_line_is_refused(changes, column, message):
    with pytest.raises(DataError, match=message):
        read_cell("t", line(**changes), column)
