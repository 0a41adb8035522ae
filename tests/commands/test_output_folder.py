"""Folders for output that cannot be made, such as any in /proc."""

import json
from pathlib import Path

import pytest

LABELS = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}
CONTENT = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}],
    "annotations": [LABELS],
    "categories": [{"id": 1, "name": "cell"}],
}


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder of Linux")
@pytest.mark.parametrize(
    "arguments",
    [
        ("init", "/proc/x"),
        ("merge", "{}/a.json", "{}/b.json", "--to", "/proc/x/y.json"),
        ("pretrain", "small", "--to", "/proc/x/y.safetensors"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_folder_that_cannot_be_made_is_one_sentence(datastill, tmp_path, arguments):
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps(CONTENT))
    answer = datastill(*(each.format(tmp_path) for each in arguments))
    assert answer.returncode == 1
    assert "/proc/x: this folder cannot be made or written to: No such file" in answer.stderr
