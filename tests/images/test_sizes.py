import pytest

from datastill.coco.format import Coco
from datastill.errors import DataError
from datastill.images.sizes import complete_sizes


@pytest.fixture
def unsized(tmp_path, coco, write_images):
    """Write images of 40 x 30 pixels; return them without the sizes that `changes` replaces."""

    def build(*changes):
        content = coco(range(1, len(changes) + 1))
        write_images(tmp_path, content)
        for image, change in zip(content.images, changes, strict=True):
            image |= change
            for key in [key for key, value in change.items() if value == "absent"]:
                del image[key]
        return content

    return build


UNKNOWN = [{"width": "absent"}, {"height": 0}, {"width": -1, "height": -1}, {"height": None}]


def sizes(coco):
    return [(image["width"], image["height"]) for image in coco.images]


def test_unknown_sizes_are_those_of_the_files(tmp_path, coco, unsized, caplog):
    content = unsized(*UNKNOWN, {"width": 50})
    completed = complete_sizes(tmp_path, content, [tmp_path / "none", tmp_path])
    assert sizes(completed) == [(40, 30)] * 4 + [(50, 30)]
    assert [i["file_name"] for i in completed.images] == [i["file_name"] for i in content.images]
    assert (
        caplog.text.count(f"{tmp_path}: 4 images lack width or height; taken from the files") == 1
    )


def test_known_sizes_open_no_folder(tmp_path, coco):
    content = coco([1])
    assert complete_sizes(tmp_path, content, [tmp_path / "none"]) is content


def test_an_image_without_size_or_file_is_named(tmp_path, unsized):
    content = unsized(*UNKNOWN)
    (tmp_path / "a/2.png").unlink()
    with pytest.raises(DataError, match=r"1 images without width and height .* a/2.png: no such"):
        complete_sizes(tmp_path, content, [tmp_path])


def test_a_damaged_image_has_room_so_that_it_is_refused_later(tmp_path, unsized):
    content = unsized(*UNKNOWN)
    (tmp_path / "a/2.png").write_bytes(b"no image")
    _, (width, height), *_ = sizes(complete_sizes(tmp_path, content, [tmp_path]))
    assert min(width, height) > 10_000


def test_an_image_without_a_name_is_left_to_its_own_message(tmp_path):
    content = Coco([{"id": 1}], [], [])
    assert complete_sizes(tmp_path, content, [tmp_path]) is content
