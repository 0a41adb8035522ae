"""COCO JSON of others in which one thing cannot be told from another."""

import re

import pytest

from datastill.coco.format import write_coco
from datastill.coco.formats import read_foreign, read_labels
from datastill.errors import DataError


def namesakes(content):
    content.categories.append({"id": 2, "name": "person"})


def unnamed(content):
    content.categories.append({"id": 2})


def one_id(content):
    content.categories.append({"id": 1, "name": "car"})


def nameless(content):
    del content.images[0]["file_name"]


FAULTS = {
    namesakes: "expected a name of its own for every category, found ['person', 'person']",
    unnamed: "expected a name of its own for every category, found ['person', None]",
    one_id: "expected an id of its own for every category, found [1, 1]",
    nameless: "images [1] have no file_name",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_cannot_be_told_apart_is_named(tmp_path, coco, person, fault):
    content = coco([1], [person()])
    fault(content)
    write_coco(tmp_path / "a.json", content)
    with pytest.raises(DataError, match=re.escape(f"a.json: {FAULTS[fault]}")):
        read_foreign(tmp_path / "a.json")


@pytest.mark.parametrize(("ids", "what"), [([], "images"), ([1], "annotations")])
def test_labels_of_nothing_are_none(tmp_path, coco, ids, what):
    write_coco(tmp_path / "a.json", coco(ids))
    with pytest.raises(DataError, match=f"expected {what}, found none"):
        read_labels(tmp_path / "a.json")


def test_a_file_that_windows_wrote_is_read(tmp_path, coco, person):
    content = coco([1], [person()])
    write_coco(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(text, encoding="utf-8-sig")
    assert read_labels(tmp_path / "a.json") == content
