import json

import pytest

from datastill.coco.sniff import other_format, other_json


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("labels.txt", "0 0.5 0.5 0.2 0.3\n1 0.4 0.4 0.1 0.1\n", "YOLO text"),
        ("labels.xml", "<annotation><folder>a</folder></annotation>", "Pascal VOC XML"),
        ("labels.csv", "file,x,y\na.jpg,1,2\n", "a table with the columns 'file,x,y'"),
        ("labels.csv", "", "an empty table"),
        ("data.yaml", "names: [cat]\n", "YAML, as of a YOLO data set"),
        ("labels.zip", "PK\0", "an archive; unpack it first"),
        ("labels.bin", "a\0", "no text"),
        ("folder/1.txt", "0 0.5 0.5 0.2 0.3", "a folder with 1 files of YOLO text"),
        ("folder/1.jpg", "", "a folder"),
    ],
)
def test_a_file_or_folder_of_another_format_is_called_by_its_name(
    tmp_path, name, content, expected
):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    assert other_format(tmp_path / name.partition("/")[0]).startswith(expected)


def test_what_may_be_json_or_is_absent_is_of_no_other_format(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    assert other_format(tmp_path / "a.json") is None
    assert other_format(tmp_path / "b.json") is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([{"id": 1, "annotations": [], "data": {}}], "Label Studio's own JSON"),
        ([{"image_id": 1, "category_id": 1, "score": 0.5}], "COCO results"),
        ([{"image_id": 1, "bbox": [1, 2, 3, 4]}], "a bare list of annotations"),
        ([1, 2], "a JSON list of 2"),
        ({"shapes": [], "imagePath": "a.jpg"}, "LabelMe JSON"),
        ({"images": [], "licenses": []}, "COCO JSON of images alone"),
        ({"foo": 1, "bar": 2}, "JSON with the keys foo, bar"),
        ({}, "JSON with the keys none"),
        ("text", "JSON that is one str"),
    ],
)
def test_json_of_another_format_is_called_by_its_name(content, expected):
    assert other_json(json.loads(json.dumps(content))).startswith(expected)


def test_json_with_the_three_sections_is_cocos():
    assert other_json({"images": [], "annotations": [], "categories": [], "info": {}}) is None
