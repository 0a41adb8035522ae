import io
import re

import numpy as np
import pytest
from PIL import Image

from datastill.coco.format import image_id
from datastill.errors import DataError
from datastill.images.folders import Folder, folder_images, locate, missing_images, natural_order
from datastill.images.load import Refusal, load_image


@pytest.fixture
def folder(tmp_path):
    """A folder called `name` with empty files, linked to as `link`."""

    def build(name, files=(), link=None):
        for file in files:
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).touch()
        return Folder(tmp_path / name, link or name)

    return build


@pytest.fixture
def listing(coco, person):
    """A set that lists images under these names, each with one person."""

    def build(*names):
        numbers = range(1, len(names) + 1)
        content = coco(numbers, [person(n, 10 * n) for n in numbers])
        for image, name in zip(content.images, names, strict=True):
            image["file_name"] = name
        return content

    return build


def names(content):
    return [image["file_name"] for image in content.images]


def test_an_image_is_named_by_the_first_folder_that_has_it(folder, listing):
    first, second = folder("x", ["a.jpg", "sub/b.jpg"], "one"), folder("y", ["a.jpg", "c.jpg"])
    content = listing("a.jpg", "c.jpg", "sub/b.jpg")
    found, refused = locate(content, [first, second])
    assert names(found) == ["one/a.jpg", "y/c.jpg", "one/sub/b.jpg"]
    assert refused == []
    assert found.annotations == content.annotations
    assert names(content) == ["a.jpg", "c.jpg", "sub/b.jpg"], "the given set stays as it is"


@pytest.mark.parametrize(
    "listed",
    ["000000000007.jpg", "COCO_train2014_000000000007.jpg", "train2017/000000000007.jpg"],
)
@pytest.mark.parametrize(
    "stored",
    ["000000000007.jpg", "COCO_train2014_000000000007.jpg", "COCO_val2014_000000000007.jpg"],
)
def test_coco_images_are_found_under_the_names_of_2014_and_2017(folder, listing, listed, stored):
    found, refused = locate(listing(listed), [folder("of any name", [stored], "link")])
    assert names(found) == [f"link/{stored}"]
    assert refused == []


def test_an_image_of_the_very_name_comes_before_one_of_another_year(folder, listing):
    both = folder("x", ["000000000007.jpg", "COCO_val2014_000000000007.jpg"])
    content = listing("COCO_val2014_000000000007.jpg", "000000000007.jpg")
    assert names(locate(content, [both])[0]) == [
        "x/COCO_val2014_000000000007.jpg",
        "x/000000000007.jpg",
    ]


def test_other_names_with_numbers_are_only_themselves(folder, listing):
    one = folder("x", ["a.jpg", "COCO_val2014_7.jpg", "000000000007.png"])
    others = ["7.jpg", "000000000007.jpg", "sub/a.jpg"]
    found, refused = locate(listing("a.jpg", *others), [one])
    assert names(found) == ["x/a.jpg"]
    assert [refusal.file_name for refusal in refused] == others


def test_what_is_nowhere_is_refused_with_its_people_and_the_folders_it_was_sought_in(
    folder, listing, tmp_path
):
    one, other, absent = folder("x", ["a.jpg"]), folder("y", ["b.jpg"]), folder("z")
    content = listing("a.jpg", "gone.jpg", "b.jpg")
    found, refused = locate(content, [one, other, absent])
    assert names(found) == ["x/a.jpg", "y/b.jpg"]
    assert [a["image_id"] for a in found.annotations] == [1, 3]
    sought = f"{tmp_path}/x, {tmp_path}/y, {tmp_path}/z"
    assert refused == [Refusal("gone.jpg", f"no such file in {sought}")]


@pytest.mark.parametrize("existing", [["other.jpg"], []], ids=["empty-handed", "absent"])
def test_a_set_of_which_nothing_is_there_is_an_error(folder, listing, existing):
    with pytest.raises(DataError, match=r"none of 2 images is there: no such file in .*/x$"):
        locate(listing("a.jpg", "b.jpg"), [folder("x", existing)])


@pytest.mark.parametrize("name", ["../a.jpg", "x/../../a.jpg", "/etc/a.jpg", "..\\a.jpg"])
def test_a_name_that_leaves_its_folder_is_an_error_even_where_the_file_exists(
    folder, listing, tmp_path, name
):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(DataError, match=re.escape(f"{name!r} leaves the image folder")):
        locate(listing("fine.jpg", name), [folder("x", ["fine.jpg"])])


def encoded(kind, size=(40, 30), **options):
    stream = io.BytesIO()
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(stream, kind, **options)
    return stream.getvalue()


def test_a_folder_lists_its_images_sorted_upright_and_those_that_are_none(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        "b.JPG": encoded("JPEG"),
        "a/c.png": encoded("PNG", (8, 9)),
        "phone.jpeg": encoded("JPEG", (50, 20), exif=exif),
        "notes.txt": b"not looked at",
        "text.jpg": b"no image",
        "empty.png": b"",
    }
    for name, content in files.items():
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_bytes(content)
    records, refused = folder_images(Folder(tmp_path / "x", "mine"))
    sizes = {"mine/a/c.png": (8, 9), "mine/b.JPG": (40, 30), "mine/phone.jpeg": (20, 50)}
    assert records == [
        {"id": image_id(name), "file_name": name, "width": width, "height": height}
        for name, (width, height) in sizes.items()
    ]
    assert [refusal.file_name for refusal in refused] == ["mine/empty.png", "mine/text.jpg"]
    assert all(refusal.reason.startswith("no readable image: ") for refusal in refused)


@pytest.mark.parametrize("kind", ["jpg", "JPEG", "png", "bmp", "webp", "tif", "TIFF"])
def test_every_kind_of_image_is_listed_and_read(tmp_path, kind):
    (tmp_path / "x").mkdir()
    Image.new("RGB", (40, 30), (10, 200, 30)).save(tmp_path / f"x/a.{kind}")
    (record,), refused = folder_images(Folder(tmp_path / "x", "x"))
    assert (record["file_name"], refused) == (f"x/a.{kind}", [])
    assert load_image(tmp_path, record).shape == (3, 30, 40)


def test_an_image_whose_name_is_no_text_is_refused_by_a_name_that_is(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "caf\udce9.jpg").write_bytes(encoded("JPEG"))
    records, refused = folder_images(Folder(tmp_path / "x", "mine"))
    assert records == []
    assert refused == [Refusal("mine/caf\\udce9.jpg", "its name is not UTF-8; rename it")]


def test_a_folder_that_is_absent_is_named(tmp_path):
    with pytest.raises(DataError, match=rf"{tmp_path}/x: no such folder of images"):
        folder_images(Folder(tmp_path / "x", "x"))


def test_missing_images_are_named(tmp_path, coco, write_images):
    content = coco([1, 2, 3])
    write_images(tmp_path, content)
    assert missing_images(tmp_path, content) == []
    (tmp_path / "a/2.png").unlink()
    assert missing_images(tmp_path, content) == ["a/2.png"]


def test_names_are_ordered_by_the_numbers_in_them():
    ordered = ["a/img2.png", "a/img10.png", "a/img10b.png", "b/1.png", "b/01.png2", "b/img"]
    assert sorted(reversed(ordered), key=natural_order) == ordered
    assert natural_order("img1") != natural_order("img01")
