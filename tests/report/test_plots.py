from functools import partial

import matplotlib.image
import pytest
from matplotlib.figure import Figure

from datastill.errors import DataError
from datastill.report import plots
from datastill.report.ablations import ablation_table
from datastill.report.plots import draw_table
from datastill.report.seed_variance import Sampling
from datastill.report.tables import comparison_table

table1 = partial(comparison_table, "table1")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, to look at."""
    made = []
    monkeypatch.setattr(plots, "Figure", lambda **how: made.append(Figure(**how)) or made[-1])
    return made


@pytest.fixture
def table(as_published, unions, paper):
    return table1(as_published, unions, paper, sampling=Sampling(20))


@pytest.fixture
def figure5(teacher, student):
    rows = [teacher(), teacher("long", 9, 260000)]
    rows.append(student("all", 12, 260000, fraction=1.0, labelled_share=0.5))
    return ablation_table("figure5", rows)


@pytest.fixture
def beyond(teacher, student):
    rows = [teacher(), teacher("control", 9, 180000), student("plain", 12)]
    return ablation_table("beyond", [*rows, student("one view", 10, views=1)])


@pytest.mark.parametrize("name", ["table", "figure5", "beyond"])
def test_the_figure_is_the_same_bytes_for_the_same_table(name, request, tmp_path):
    table = request.getfixturevalue(name)
    for name in ("one.png", "new/two.png"):
        draw_table(table, tmp_path / name)
    first = (tmp_path / "one.png").read_bytes()
    assert first == (tmp_path / "new" / "two.png").read_bytes()
    assert b"Software" not in first


def test_each_panel_has_the_aps_of_its_side_by_the_names(result, unions, paper, tmp_path, drawn):
    rows = [
        result("co-35"),
        result("co-35+co-80", range(1, 17), iterations=360000),
        result("co-115", range(1, 19)),
    ]
    table = table1(rows, unions, paper, sampling=Sampling(20))
    draw_table(table, tmp_path / "a.png")
    ours, theirs = drawn[0].axes
    assert (ours.get_xlabel(), theirs.get_xlabel()) == ("AP, ours", "AP, paper")
    labels = [label.get_text().split(",")[0] for label in ours.get_yticklabels()]
    names = dict(zip(ours.get_yticks(), labels, strict=True))
    for axis, column in ((ours, "ap"), (theirs, "paper_ap")):
        points = [(names[mark.get_ydata()[0]], mark.get_xdata()[0]) for mark in axis.lines]
        roles = ["supervised", "distilled", "upper bound (co-115)"]
        assert points == list(zip(roles, table[column], strict=True))


def test_the_papers_panel_is_left_out_where_it_has_no_numbers(table, result, tmp_path):
    draw_table(table, tmp_path / "both.png")
    draw_table(table1([result("a"), result("a+b")], {}), tmp_path / "own.png")
    both, own = (matplotlib.image.imread(tmp_path / f"{n}.png").shape for n in ("both", "own"))
    assert both[1] > own[1]
    assert both[0] > own[0]


def test_a_table_without_lines_is_an_error(result, tmp_path):
    with pytest.raises(DataError, match="expected a distilled row"):
        draw_table(table1([result("a")], {}), tmp_path / "none.png")


def test_a_picture_of_rows_has_every_ap_beside_its_row(beyond, tmp_path, drawn):
    draw_table(beyond, tmp_path / "bars.png")
    (axis,) = drawn[0].axes
    names = [label.get_text() for label in axis.get_yticklabels()]
    shown = {names[round(mark.get_ydata()[0])]: mark.get_xdata()[0] for mark in axis.lines}
    assert shown == dict(zip(beyond["row"], beyond["ap"], strict=True))


def test_a_picture_of_curves_has_the_control_at_its_own_ap(figure5, ap_of_images, tmp_path, drawn):
    draw_table(figure5, tmp_path / "curves.png")
    shown = {curve.get_label(): curve for curve in drawn[0].axes[0].lines}
    assert shown["control"].get_ydata()[0] == pytest.approx(ap_of_images(range(1, 10)))
    assert shown["distilled"].get_ydata()[0] == pytest.approx(ap_of_images(range(1, 13)))
    places = [shown[role].get_xdata()[0] for role in ("supervised", "distilled")]
    assert places == [0.0, 1.0]
