import pytest

from datastill.report.render import (
    Column,
    ap_cell,
    frame,
    gain_cell,
    markdown_grid,
    number,
    several,
    shown,
    text_grid,
    to_csv,
    word,
)

GAIN_COLUMNS = ["gain", "gain_low", "gain_high"]


@pytest.fixture
def table():
    first = {"row": "a", "seeds": 1, "ap": 50.0, "gain": None, "gain_p": None}
    second = {"row": "b", "seeds": 2, "ap": 51.26, "gain": -0.004, "gain_p": 0.12341}
    columns = ["row", "seeds", "ap", "gain", "gain_p"]
    return frame([first, second, {"row": "c", "seeds": 1}], columns)


def test_the_csv_has_two_decimals_four_of_p_values_and_gaps(table):
    assert to_csv(table).splitlines() == [
        "row,seeds,ap,gain,gain_p",
        "a,1,50.00,,",
        "b,2,51.26,0.00,0.1234",
        "c,1,,,",
    ]


def test_columns_that_hold_nothing_or_do_not_apply_are_left_out(table):
    columns = [
        Column("row", word("row")),
        Column("paper", number("paper_ap")),
        Column("seeds", word("seeds"), applies=several("seeds")),
        Column("rows", word("row"), applies=lambda _: False),
    ]
    assert [column.heading for column in shown(columns, table)] == ["row", "seeds"]
    assert [column.heading for column in shown(columns, table.iloc[:1])] == ["row"]


def test_a_page_rounds_what_its_csv_says_and_not_what_it_left_out():
    table = frame([{"gain": 2.1532, "gain_low": -2.1532, "gain_high": 0.0499}], GAIN_COLUMNS)
    (line,) = [{**each, "gain_verdict": ""} for each in table.to_dict("records")]
    gain, low, high = map(float, to_csv(table).splitlines()[1].split(","))
    assert gain_cell("gain")(line) == f"{gain:+.1f} [{low:.1f}, {high:.1f}]"
    assert number("gain")(line) == f"{gain:.1f}" != f"{2.1532:.1f}"


def test_markdown_and_text_hold_the_same_cells(table):
    columns = [Column("row", word("row")), Column("AP", number("ap"), right=True)]
    assert markdown_grid(columns, table).splitlines() == [
        "| row | AP |", "| --- | ---: |", "| a | 50.0 |", "| b | 51.3 |", "| c |  |",
    ]  # fmt: skip
    assert text_grid(columns, table) == ["row  AP", "a    50.0", "b    51.3", "c"]


def test_a_gain_is_marked_where_it_is_not_distinguishable():
    line = {"gain": -0.04, "gain_low": -1.0, "gain_high": 1.0}
    cell = gain_cell("gain")
    assert cell({**line, "gain_verdict": "loss"}) == "+0.0 [-1.0, 1.0]"
    unsure = {**line, "gain_verdict": "not distinguishable"}
    assert cell(unsure) == "+0.0 [-1.0, 1.0] not distinguishable"
    (_, text) = text_grid([Column("gain", cell)], frame([unsure], list(unsure)))
    assert text == "+0.0 [-1.0, 1.0] ~"


def test_an_ap_has_its_interval_and_sd_where_there_are_any():
    assert ap_cell({"ap": 50.0}) == "50.0"
    line = {"ap": 50.0, "ap_low": 48.0, "ap_high": 52.0}
    assert ap_cell(line) == "50.0 [48.0, 52.0]"
    assert ap_cell({**line, "ap_sd": 0.3}) == "50.0 [48.0, 52.0] ± 0.3"
