"""Names that would like to be markup, through everything that shows them."""

import re
from pathlib import Path

import pytest
import yaml
from finished_runs import HOSTILE
from mlflow_runs import only, runs
from page_reader import Page

from datastill.errors import ParamsError
from datastill.project.profile import open_profile
from datastill.tracking.run_record import REPORT
from datastill.tracking.store import Store

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@pytest.mark.slow
def test_names_are_text_on_the_page_in_tables_on_the_terminal_and_in_mlflow(untrained, datastill):
    for command in (("report",), ("plan", "--probe-seconds", "0"), ("track", "sync")):
        answer = datastill(*command)
        assert answer.returncode == 0, answer.stderr
        assert not CONTROLS.search(answer.stdout + answer.stderr)
        if command[0] == "plan":
            assert answer.stdout.count('1 <script>alert("x|y")</script>\\n\\x1b[31m$x_1$\n') == 3

    text = untrained.report.read_text()
    page = Page(text)
    assert not CONTROLS.search(text)
    assert len(page.all("script")) == 1
    assert not page.all("i")
    assert '<script>alert("x|y")</script>' in page.text
    assert 'onload="alert(1)"' in page.text  # of a file

    for path in untrained.results.glob("table1.*"):  # of the data's names, they hold none
        assert path.suffix == ".png" or not re.search("[<>$\x1b]", path.read_text())

    store = Store.of(untrained)
    assert {run["row"] for run in runs(store)} == {"teacher", "student", REPORT}
    assert only(store, "student")["tags"]["warnings"] == f"student: {HOSTILE}"
    (copy,) = Path("mlruns").rglob(untrained.report.name)
    assert copy.read_text() == text


@pytest.mark.parametrize("name", ["a|b", "<b>", "a\n", "a\x1b", 'a"', "a b", "../a"])
@pytest.mark.parametrize("section", ["supervised", "sets"])
def test_rows_and_sets_have_names_that_no_table_can_misread(name, section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    part = raw["data"][section] if section == "sets" else raw[section]
    part[name] = part["co-115"]
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(ParamsError, match=section):
        open_profile("miniature")
