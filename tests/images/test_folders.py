import io
import os
import re

import numpy as np
import pytest
from PIL import Image

from datastill.coco.format import image_id
from datastill.errors import DataError
from datastill.images.folders import (
    Folder,
    folder_images,
    locate,
    missing_images,
    natural_order,
    other_files,
)
from datastill.images.load import IMAGE_KINDS, Refusal, load_image


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


@pytest.mark.parametrize(
    ("existing", "shown"),
    [
        (["photos/A1.JPG", "other.png"], "2 files, such as 'other.png', 'photos/A1.JPG'"),
        ([], "no files"),
    ],
)
def test_a_set_of_which_nothing_is_there_is_an_error_that_shows_what_is(
    folder, listing, existing, shown
):
    with pytest.raises(DataError, match=r"none of 2 images is there: no such file in .*/x\n") as e:
        locate(listing("a1.jpeg", "b.jpg"), [folder("x", existing)])
    assert f"wanted: 'a1.jpeg'\n  there: {shown}" in str(e.value)
    assert ("most like it: 'photos/A1.JPG'" in str(e.value)) == bool(existing)


@pytest.mark.parametrize(
    ("listed", "stored"),
    [
        ("images\\a.jpg", "a.jpg"),
        ("./a.jpg", "a.jpg"),
        ("images//a.jpg", "a.jpg"),
        ("data/images/a.jpg", "a.jpg"),
        ("a.jpg", "sub/a.jpg"),
        ("elsewhere/sub/a.jpg", "train/sub/a.jpg"),
        ("caf\u00e9.jpg", "cafe\u0301.jpg"),
        ("images/cafe\u0301.jpg", "caf\u00e9.jpg"),
    ],
)
def test_a_name_is_matched_by_its_end_in_any_writing(folder, listing, listed, stored):
    others = ["b.jpg", "other/b.jpg"]
    found, refused = locate(listing(listed), [folder("images", [stored, *others], "link")])
    assert (names(found), refused) == ([f"link/{stored}"], [])


def test_of_several_files_the_one_with_the_longest_common_end_is_taken(folder, listing):
    one = folder("images", ["a.jpg", "train/a.jpg", "val/a.jpg", "val/b.jpg"])
    found, _ = locate(listing("x/val/a.jpg", "./a.jpg", "images/val/b.jpg"), [one])
    assert names(found) == ["images/val/a.jpg", "images/a.jpg", "images/val/b.jpg"]


@pytest.mark.parametrize(
    ("listed", "stored"),
    [
        (["a.jpg"], ["train/a.jpg", "val/a.jpg"]),
        (["video1/0.jpg"], ["video2/0.jpg"]),
        (["one/a.jpg", "two/a.jpg"], ["a.jpg"]),
    ],
    ids=["several files", "another folder", "several names"],
)
def test_a_name_that_may_be_another_file_is_not_matched(folder, listing, listed, stored):
    one = folder("images", ["there.jpg", *stored])
    found, refused = locate(listing("there.jpg", *listed), [one])
    assert names(found) == ["images/there.jpg"]
    assert [refusal.file_name for refusal in refused] == listed


def test_a_name_takes_no_file_from_one_that_has_more_in_common_with_it(folder, listing):
    one = folder("images", ["a.jpg"])
    found, refused = locate(listing("masks/a.jpg", "images/a.jpg"), [one])
    assert [image["id"] for image in found.images] == [2]
    assert [refusal.file_name for refusal in refused] == ["masks/a.jpg"]


def test_the_first_folder_comes_first_for_ends_too(folder, listing):
    folders = [folder("x", ["a.jpg"]), folder("y", ["a.jpg", "b.jpg"])]
    assert names(locate(listing("./a.jpg", "y/b.jpg"), folders)[0]) == ["x/a.jpg", "y/b.jpg"]
    assert names(locate(listing("y/a.jpg"), folders)[0]) == ["y/a.jpg"]


def test_ends_that_ignore_folders_are_said_and_others_are_not(folder, listing, caplog):
    one = folder("images", ["a.jpg", "b.jpg"])
    locate(listing("images\\a.jpg"), [one])
    assert not caplog.records
    locate(listing("of/mine/b.jpg", "a.jpg"), [one])
    assert "1 file names are matched by their ends alone, such as 'of/mine/b.jpg'" in caplog.text


@pytest.fixture
def linked(tmp_path):
    """A folder of an image and links to others: inside it, outside it and to what is absent."""
    folder = tmp_path / "images"
    for name in ("images/real/a.jpg", "outside/b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(tmp_path / name)
    (folder / "alias.jpg").symlink_to("real/a.jpg")
    (folder / "latest").symlink_to("real")
    (folder / "circle").symlink_to(folder)
    (folder / "real/circle").symlink_to(folder / "circle")
    (folder / "b.jpg").symlink_to(tmp_path / "outside/b.jpg")
    (folder / "others").symlink_to(tmp_path / "outside")
    (folder / "gone.jpg").symlink_to("nothing.jpg")
    return Folder(folder, "images")


def test_links_that_stay_in_the_folder_are_followed_and_each_image_is_listed_once(
    linked, listing, caplog
):
    assert linked.listing() == {"real/a.jpg", "latest/a.jpg", "alias.jpg"}
    records, refused = folder_images(linked)
    assert ([record["file_name"] for record in records], refused) == (["images/alias.jpg"], [])
    found, _ = locate(listing("latest/a.jpg", "alias.jpg"), [linked])
    assert names(found) == ["images/latest/a.jpg", "images/alias.jpg"]
    assert load_image(linked.path.parent, {**found.images[0], "width": 8, "height": 6}) is not None
    assert "3 links are left out, such as b.jpg, which is a link to" in caplog.text


def test_a_link_that_leads_out_is_refused_by_that_reason(linked, listing, tmp_path):
    _, refused = locate(
        listing("alias.jpg", "b.jpg", "others/b.jpg", "gone.jpg", "no.jpg"), [linked]
    )
    assert [refusal.reason for refusal in refused] == [
        f"is a link to {tmp_path}/outside/b.jpg, outside the folder",
        f"is a link to {tmp_path}/outside, outside the folder",
        f"is a link to {linked.path}/nothing.jpg, which is not there",
        f"no such file in {linked.path}",
    ]


def test_links_into_the_cache_of_dvc_are_files(tmp_path):
    cache = tmp_path / "cache/files/md5/0a"
    for folder in (cache, tmp_path / "images"):
        folder.mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(cache / ("b" * 30), "PNG")
    for name in ("a.png", "twin.png"):  # equal files are one in the cache
        (tmp_path / "images" / name).symlink_to(cache / ("b" * 30))
    folder = Folder(tmp_path / "images", "images")
    assert {*folder.contents().cached} == {"a.png", "twin.png"}
    records, refused = folder_images(folder)
    assert [record["file_name"] for record in records] == ["images/a.png", "images/twin.png"]
    assert refused == []


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(DataError, match=rf"{tmp_path}/x: not a readable folder: .*denied"):
        Folder(tmp_path / "x", "x").listing()


def test_files_of_other_kinds_are_counted_by_kind(folder):
    one = folder("x", ["a.jpg", "b.HEIC", "c.heic", "sub/d.txt", "README"])
    assert other_files(one) == "4 files left out: 2 .heic, 1 .txt, 1 unnamed"
    assert other_files(folder("y", ["a.jpg"])) is None


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


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", *(kind[1:] for kind in IMAGE_KINDS)])
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


def test_a_pipe_with_the_name_of_an_image_is_left_out(tmp_path, listing, caplog):
    os.mkfifo(tmp_path / "x.jpg")
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg")
    folder = Folder(tmp_path, "images")
    records, refused = folder_images(folder)
    assert ([record["file_name"] for record in records], refused) == (["images/a.jpg"], [])
    assert "1 entries are left out, such as x.jpg, which is a pipe or a device" in caplog.text
    _, absent = locate(listing("a.jpg", "x.jpg"), [folder])
    assert absent == [Refusal("x.jpg", "is a pipe or a device")]
