import json

import pytest

from datastill.coco import streaming
from datastill.coco.format import Coco, write_coco
from datastill.coco.streaming import read_section, sample_images
from datastill.errors import DataError


@pytest.fixture
def path(tmp_path):
    images = [{"id": i, "file_name": f'a/"images":[{i}].png'} for i in range(50)]
    annotations = [{"id": i, "image_id": i // 2} for i in range(100)]
    write_coco(tmp_path / "set.json", Coco(images, annotations, []), info={"note": "]}"})
    return tmp_path / "set.json"


@pytest.mark.parametrize("chunk", [7, 100, 2**20])
@pytest.mark.parametrize("section", ["images", "annotations", "categories"])
def test_records_are_those_of_the_file_in_whatever_pieces_it_is_read(
    path, section, chunk, monkeypatch
):
    monkeypatch.setattr(streaming, "_CHUNK", chunk)
    assert [*read_section(path, section)] == json.loads(path.read_text())[section]


def test_a_missing_section_or_a_cut_file_is_an_error_that_names_it(path):
    with pytest.raises(DataError, match=r"set\.json.*no list of videos"):
        [*read_section(path, "videos")]
    path.write_text(path.read_text()[:600])
    with pytest.raises(DataError, match=r"set\.json.*ends within a list"):
        [*read_section(path, "images")]
    with pytest.raises(DataError, match=r"no such file"):
        [*read_section(path.with_name("none.json"), "images")]


def test_a_sample_is_the_same_images_each_time_with_their_annotations(path):
    sample, total = sample_images(path, 10)
    again, _ = sample_images(path, 20)
    assert (total, len(sample.images), len(sample.annotations)) == (50, 10, 20)
    ids = [image["id"] for image in sample.images]
    assert ids == sorted(ids)
    assert {a["image_id"] for a in sample.annotations} == {*ids}
    assert {*ids} < {image["id"] for image in again.images}
