import matplotlib.image
import pytest

from datastill.errors import DataError
from datastill.report.figures import table_figure
from datastill.report.paper import published
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


def test_the_papers_panel_is_left_out_where_it_has_no_numbers(table, result, tmp_path):
    table_figure(table, tmp_path / "both.png")
    table_figure(table1([result("a"), result("a+b")], {}), tmp_path / "own.png")
    both, own = (matplotlib.image.imread(tmp_path / f"{n}.png").shape for n in ("both", "own"))
    assert both[1] > own[1]
    assert both[0] > own[0]


def test_a_table_without_lines_is_an_error(result, tmp_path):
    with pytest.raises(DataError, match="expected a distilled row"):
        table_figure(table1([result("a")], {}), tmp_path / "none.png")
