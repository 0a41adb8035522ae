"""The page as a browser reads it: whole, alone, and with every name as text."""

import base64
import json
import re
import shutil
import subprocess

import pytest
from finished_runs import SPECS
from page_reader import Page

from datastill.coco.format import Coco, read_coco
from datastill.coco.merge import merge
from datastill.errors import DataError
from datastill.page import doubtful_labels, finished_run, worth_labelling
from datastill.page.rendering import write_report

SECTIONS = ["verdict", "images", "measures", "errors", "generated", "labels", "drift", "left-out",
            "trainings", "origins"]  # fmt: skip


pytestmark = pytest.mark.slow
KINDS = [("keypoints", False), ("boxes", True)]
WRITTEN = {}  # folder of each kind of page: one takes two seconds


@pytest.fixture
def page(finished, tmp_path):
    """The page of a task, the unlabelled set labelled or not, and the folder of its files."""

    def build(task, labelled):
        if (task, labelled) not in WRITTEN:
            write_report(finished(task, labelled), tmp_path / "report.html")
            WRITTEN[task, labelled] = tmp_path
        folder = WRITTEN[task, labelled]
        return Page((folder / "report.html").read_text()), folder

    return build


@pytest.mark.parametrize(("task", "labelled"), KINDS)
def test_every_section_is_there_in_order_and_filled(page, task, labelled):
    read, _ = page(task, labelled)
    assert [attributes["id"] for attributes in read.all("section")] == SECTIONS
    assert len(read.all("img")) > 20
    assert len(read.all("svg")) > 6
    assert "cannot be read" in read.text  # the picture of the file that is gone
    for part in ("Gained most", "Lost most", "Where the views disagree", "Most suspicious"):
        assert part in read.text
    for part in ("Surest wrong ones", "b: 20 of 20 images, by all views of 1 teacher"):
        assert (part in read.text) == labelled
    for part in ("Surest rejected candidates", "Most worth labelling of b"):
        assert (part in read.text) != labelled
    assert ("duplicate" if task == "boxes" else "jitter") in read.text


@pytest.mark.parametrize(("task", "labelled"), KINDS)
def test_the_page_refers_to_nothing_but_itself(page, task, labelled):
    read, _ = page(task, labelled)
    assert all(
        a["src"].startswith("data:image/webp;base64,") for a in read.all("img") if "src" in a
    )
    for attributes in [*read.all("a"), *read.all("link")]:
        href = attributes["href"]
        assert href.startswith("data:") or href[1:] in read.ids, href
    assert not {tag for tag, _ in read.tags} & {"iframe", "object", "embed", "base", "form"}
    assert not re.search(r"https?://(?!www\.w3\.org)|url\((?!#)|@import", str(read.tags))


@pytest.mark.parametrize(("task", "labelled"), KINDS)
def test_names_from_data_are_text_wherever_they_stand(page, task, labelled):
    read, folder = page(task, labelled)
    assert len(read.all("script")) == 1
    assert not read.all("i")
    assert not [name for _, attributes in read.tags for name in attributes if name[:2] == "on"]
    assert '<script>alert("x|y")</script>' in read.text
    assert "$x_1$" in read.text  # matplotlib would set it as a formula
    assert "looks like" in read.text  # the twin of a refused file, found by its name
    assert "math" not in read.text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", (folder / "report.html").read_text())


def test_a_number_of_the_table_is_one_click_from_its_images(page):
    read, _ = page(*KINDS[0])
    (target,) = {a["href"][1:] for a in read.all("a") if a["href"].startswith("#images-")}
    after = read.tags[read.ids[target] :]
    assert next(tag for tag, _ in after if tag in ("img", "details", "section")) == "img"


def test_the_trace_of_every_row_is_one_click_from_its_numbers(page):
    read, _ = page(*KINDS[0])
    traces = {f"origin-{row}" for row in SPECS}
    assert traces <= read.ids.keys()
    for first, last in (("verdict", "images"), ("trainings", "origins")):
        part = read.tags[read.ids[first] : read.ids[last]]
        links = {a["href"][1:] for tag, a in part if tag == "a"}
        assert traces <= links, first


def test_the_table_of_thresholds_needs_no_script(page):
    read, _ = page(*KINDS[0])
    (slider,) = [a for a in read.all("figure") if "data-slider" in a]
    assert slider["data-slider"] == "score threshold"
    assert len(read.all("tr", **{"class": "current"})) == 1


def _downloads(read):
    for attributes in read.all("a"):
        if "download" in attributes:
            code = attributes["href"].partition("base64,")[2]
            yield attributes["download"], json.loads(base64.b64decode(code))


def _by_name(file_name, _):
    return file_name, file_name


def test_what_is_exported_comes_back_through_merge(page):
    read, folder = page(*KINDS[0])
    exported = dict(_downloads(read))
    assert {*exported} == {"suspected-labels-val.json", "to-label-b.json"}
    base = read_coco(folder / "data" / "val.json")
    suspected, to_label = (Coco(**exported[name]) for name in sorted(exported))
    assert suspected.images
    merged = merge({"base": base, "corrected": suspected, "new": to_label}, _by_name, scored=False)
    assert not merged.conflicts
    assert merged.untouched == {"base": 0, "corrected": 0, "new": len(to_label.images)}
    assert len(merged.coco().annotations) == len(base.annotations)
    taken = merge({"base": base, "new": to_label}, _by_name, scored=True)
    assert len(taken.coco().images) == len(base.images) + len(to_label.images)


def test_a_large_set_is_sampled_and_the_page_says_so(finished, monkeypatch):
    for module in (finished_run, worth_labelling):
        monkeypatch.setattr(module, "SAMPLED", 6)
    (group,) = worth_labelling.worth_labelling(finished(labelled=False))
    assert group.title == "Most worth labelling of b: 6 of 20 images"
    assert "at most 6 images" in group.blocks[0].text


def test_labels_that_a_teacher_learned_from_are_not_judged_by_it(finished, tmp_path):
    run = finished()
    (tmp_path / "data" / "a.json").write_text((tmp_path / "data" / "b.json").read_text())
    titles = [block.title for block in doubtful_labels.labels_section(run).blocks]
    assert "b: 20 of 20 images, by all views of 0 teachers" in titles


def test_a_run_without_its_table_is_an_error_that_says_what_to_run(finished, tmp_path):
    run = finished()
    (tmp_path / "table1.csv").unlink()
    with pytest.raises(DataError, match=r"table1\.csv: no such file; `datastill run tiny`"):
        write_report(run, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_browser_shows_it_without_a_complaint(page, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("NO BROWSER: the page was not opened; install Debian's chromium")
    _, folder = page(*KINDS[0])
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom",
    ]  # fmt: skip
    address = (folder / "report.html").as_uri() + "#images-s1"
    shown = subprocess.run(
        [browser, *options, address], capture_output=True, text=True, timeout=180
    )
    assert "CONSOLE" not in shown.stderr
    assert '<input type="range"' in shown.stdout  # the script has run to its end
