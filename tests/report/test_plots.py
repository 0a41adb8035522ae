import matplotlib.image
import pytest
from matplotlib.figure import Figure

from datastill.errors import DataError
from datastill.report import plots as figures
from datastill.report.paper import published
from datastill.report.plots import table_figure
from datastill.report.tables import table1


@pytest.fixture
def table(as_published, unions):
    return table1(as_published, unions, published("table1_keypoints"), resamples=20)


def test_the_figure_is_the_same_bytes_for_the_same_table(table, tmp_path):
    for name in ("one.png", "new/two.png"):
        table_figure(table, tmp_path / name)
    first = (tmp_path / "one.png").read_bytes()
    assert first == (tmp_path / "new" / "two.png").read_bytes()
    assert b"Software" not in first


def test_each_panel_has_the_aps_of_its_side_beside_the_names(result, unions, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(figures, "Figure", lambda **how: made.append(Figure(**how)) or made[-1])
    rows = [
        result("co-35"),
        result("co-35+co-80", range(1, 17), iterations=360000),
        result("co-115", range(1, 19)),
    ]
    table = table1(rows, unions, published("table1_keypoints"), resamples=20)
    table_figure(table, tmp_path / "a.png")
    ours, paper = made[0].axes
    assert (ours.get_xlabel(), paper.get_xlabel()) == ("AP, ours", "AP, paper")
    labels = [label.get_text().split(",")[0] for label in ours.get_yticklabels()]
    names = dict(zip(ours.get_yticks(), labels, strict=True))
    for axis, column in ((ours, "ap"), (paper, "paper_ap")):
        drawn = [(names[mark.get_ydata()[0]], mark.get_xdata()[0]) for mark in axis.lines]
        roles = ["supervised", "distilled", "upper bound (co-115)"]
        assert drawn == list(zip(roles, table[column], strict=True))


def test_the_papers_panel_is_left_out_where_it_has_no_numbers(table, result, tmp_path):
    table_figure(table, tmp_path / "both.png")
    table_figure(table1([result("a"), result("a+b")], {}), tmp_path / "own.png")
    both, own = (matplotlib.image.imread(tmp_path / f"{n}.png").shape for n in ("both", "own"))
    assert both[1] > own[1]
    assert both[0] > own[0]


def test_a_table_without_lines_is_an_error(result, tmp_path):
    with pytest.raises(DataError, match="expected a distilled row"):
        table_figure(table1([result("a")], {}), tmp_path / "none.png")
