import io
import os
import re
import struct
import threading
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from datastill.coco.format import image_id
from datastill.coco.image_header import PixelLimit, image_size
from datastill.errors import DataError
from datastill.images import load
from datastill.images.load import (
    Room,
    decode_image,
    image_path,
    load_image,
    read_image,
)
from datastill.progress import note_once

# for every EXIF orientation, what the camera did to an upright picture before it stored it
TURNS = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "images" / "set").mkdir(parents=True)
    (tmp_path / "images-too").mkdir()
    return tmp_path / "images"


def picture(height=6, width=9):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(pixels, name):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, name)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["a.jpg", "set/a.jpg", "set/../a.jpg", "set/..a.jpg"])
def test_a_file_name_inside_the_root_is_its_path(root, name):
    assert image_path(root, name) == root / name


def test_the_root_may_be_relative_or_a_link_itself(root, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(tmp_path)
    for start in (tmp_path / "link", root.relative_to(tmp_path)):
        assert image_path(start, "set/a.jpg") == start / "set/a.jpg"


@pytest.mark.parametrize(
    "name",
    [
        "../a.jpg",
        "set/../../a.jpg",
        "../images-too/a.jpg",
        "/etc/passwd",
        "out/../a.jpg",
        "out/../../a.jpg",
        "out/far/a.jpg",
        "set/deep/a.jpg",
        "./../a.jpg",
    ],
)
def test_a_file_name_that_leaves_the_root_is_refused(root, tmp_path, name):
    (root / "out").symlink_to(tmp_path / "images-too")
    (tmp_path / "images-too" / "far").symlink_to("/etc")
    (root / "set" / "deep").symlink_to("/etc")
    with pytest.raises(DataError, match=f"{re.escape(repr(name))} leaves .*{root}"):
        image_path(root, name)


def test_a_folder_of_the_root_may_be_a_link_to_where_its_images_lie(root, tmp_path):
    (root / "out").symlink_to(tmp_path / "images-too")
    assert image_path(root, "out/deep/a.jpg") == root / "out/deep/a.jpg"


def test_a_link_to_a_file_outside_the_root_is_refused(root, tmp_path):
    (tmp_path / "secret.jpg").touch()
    (root / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(DataError, match="leaves the image folder"):
        image_path(root, "a.jpg")


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("share", [0, 0.02, 0.6, 0.95])
def test_an_image_that_ends_early_is_named(tmp_path, kind, share):
    content = encoded(picture(60, 90), kind)
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    assert read_image(path).shape == (3, 60, 90)
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=f"{re.escape(str(path))}: no readable image"):
        read_image(path)


@pytest.mark.parametrize("content", [b"no image at all", bytes(1000), b"\x89PNG\r\n\x1a\n" * 9])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "text.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{re.escape(str(path))}: no readable image"):
        read_image(path)


def test_an_absent_image_or_a_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.jpg: no such image"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(DataError, match=f"{re.escape(str(tmp_path))}: no readable image"):
        read_image(tmp_path)


def test_a_picture_is_read_pixel_by_pixel_channels_first(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == torch.uint8
    assert np.array_equal(image.permute(1, 2, 0), picture())


@pytest.mark.parametrize(
    ("mode", "kind", "colour", "rgb"),
    [
        ("L", "png", 77, (77, 77, 77)),
        ("1", "png", 1, (255, 255, 255)),
        ("LA", "png", (77, 12), (77, 77, 77)),
        ("RGBA", "png", (10, 200, 30, 255), (10, 200, 30)),
        ("RGBA", "png", (10, 200, 30, 99), (10, 200, 30)),
        ("CMYK", "tiff", (0, 255, 255, 0), (255, 0, 0)),
        ("CMYK", "jpeg", (255, 0, 255, 0), (0, 255, 0)),
        ("L", "jpeg", 77, (77, 77, 77)),
    ],
)
def test_every_colour_mode_comes_out_as_rgb(tmp_path, mode, kind, colour, rgb):
    Image.new(mode, (9, 6), colour).save(tmp_path / f"a.{kind}")
    image = read_image(tmp_path / f"a.{kind}")
    assert image.shape == (3, 6, 9)
    assert (image.int() - torch.tensor(rgb)[:, None, None]).abs().max() <= (kind == "jpeg")


def test_a_palette_comes_out_as_its_colours(tmp_path):
    image = Image.new("P", (9, 6), 1)
    image.putpalette([1, 2, 3, 40, 50, 60])
    image.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").flatten(1).unique(dim=1).ravel().tolist() == [40, 50, 60]


@pytest.mark.parametrize("orientation", TURNS)
def test_a_turned_picture_comes_out_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(TURNS[orientation](picture()))
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png").permute(1, 2, 0), picture())


def test_the_id_of_an_image_follows_from_its_name_and_fits_json_and_numpy():
    names = [f"set/{number}.jpg" for number in range(1000)]
    ids = {image_id(name) for name in names}
    assert len(ids) == 1000
    assert image_id("set/7.jpg") in ids
    assert 0 < min(ids) <= max(ids) < 2**53


def record(name, width, height):
    return {"id": 1, "file_name": name, "width": width, "height": height}


@pytest.mark.parametrize("orientation", TURNS)
def test_an_image_is_read_in_the_frame_that_its_annotations_are_for(root, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(TURNS[orientation](picture()))
    Image.fromarray(stored).save(root / "a.png", exif=exif)
    upright = load_image(root, record("a.png", 9, 6)).permute(1, 2, 0)
    assert np.array_equal(upright, picture())
    if stored.shape != picture().shape:  # annotated on what is stored, the orientation unknown
        assert np.array_equal(load_image(root, record("a.png", 6, 9)).permute(1, 2, 0), stored)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_is_turned_once(root, orientation, compression):
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](picture())))
    tags = {0x0112: orientation}
    stored.save(root / "a.tif", tiffinfo=tags, compression=compression)
    upright = load_image(root, record("a.tif", 9, 6)).permute(1, 2, 0)
    assert np.array_equal(upright, picture())
    assert image_size(root / "a.tif") == (9, 6)


def test_a_picture_whose_exif_is_damaged_is_read_as_it_is_stored(root):
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, "PNG", exif=b"Exif\0\0II*\0")
    (root / "a.png").write_bytes(stream.getvalue())
    assert np.array_equal(load_image(root, record("a.png", 9, 6)).permute(1, 2, 0), picture())


def test_a_picture_whose_pixels_are_damaged_is_refused(root):
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, "PNG")
    content = bytearray(stream.getvalue())
    start = content.index(b"IDAT") + 12
    content[start : start + 40] = bytes(40)
    (root / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: no readable image"):
        load_image(root, record("a.png", 9, 6))


def test_a_program_that_calls_itself_an_image_is_not_run(root):
    (root / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 6\nshowpage\n")
    with pytest.raises(DataError, match=r"a\.jpg: no readable image: unknown format"):
        read_image(root / "a.jpg")


def test_an_image_of_another_size_than_its_annotations_is_refused(root):
    Image.fromarray(picture()).save(root / "a.png")
    with pytest.raises(DataError, match=r"a\.png: the image is 9 x 6, its annotations .* 9 x 7"):
        load_image(root, record("a.png", 9, 7))


def test_a_file_of_no_bytes_is_said_to_be_empty(root):
    (root / "a.jpg").touch()
    with pytest.raises(DataError, match=r"a\.jpg: no readable image: the file is empty"):
        read_image(root / "a.jpg")


def test_sixteen_bits_of_grey_keep_their_contrast(root):
    grey = np.linspace(0, 65535, 54).astype(np.uint16).reshape(6, 9)
    Image.fromarray(grey).save(root / "a.png")
    image = read_image(root / "a.png")
    assert np.array_equal(image[0], grey // 257)
    assert torch.equal(image[0], image[2])


@pytest.mark.parametrize(
    ("most", "depth"), [(255, 8), (256, 10), (4095, 12), (4096, 14), (16384, 16)]
)
def test_grey_of_fewer_bits_than_its_file_has_room_for_is_not_dark(root, most, depth, caplog):
    grey = np.linspace(0, most, 54).astype(np.uint16).reshape(6, 9)
    Image.fromarray(grey).save(root / "a.png")
    note_once.cache_clear()
    image = read_image(root / "a.png")
    assert np.array_equal(image[0], grey.astype(int) * 255 // (2**depth - 1))
    assert (f"below {2**depth:,} are read as {depth} bits" in caplog.text) == (depth < 16)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.linspace(0, 1, 54, dtype=np.float32), "0 to 1 in mode F"),
        (np.linspace(0, 70_000, 54).astype(np.int32), "0 to 70000 in mode I"),
        (np.linspace(-1024, 3071, 54).astype(np.int32), "-1024 to 3071 in mode I"),
    ],
)
def test_grey_of_an_unknown_scale_is_refused_instead_of_clipped(root, values, found):
    Image.fromarray(values.reshape(6, 9)).save(root / "a.tif")
    with pytest.raises(DataError, match=f"a.tif: expected grey values of 8 or 16 bits, .*{found}"):
        read_image(root / "a.tif")


def cut(kind):
    """An image file that ends before its pixels do."""
    content = encoded(picture(60, 90), kind)
    return content[: len(content) // 2]


@pytest.mark.parametrize("width", [10_001, 40_000])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(root, width):
    Image.new("1", (width, 10_000)).save(root / "a.png")
    assert (root / "a.png").stat().st_size < 100_000
    said = f"{width:,} x 10,000 pixels, more than 100,000,000; make it smaller or cut it up$"
    with pytest.raises(DataError, match=said):
        read_image(root / "a.png")
    assert image_size(root / "a.png") == (width, 10_000)


def test_a_limit_is_named_with_what_raises_it():
    content, size = encoded(picture(), "png"), (9, 6)
    assert decode_image(content, size, PixelLimit(54e-6)).shape == (3, 6, 9)
    said = "it has 9 x 6 pixels, more than 53; make it smaller or cut it up, or raise the.param"
    with pytest.raises(DataError, match=said):
        decode_image(content, size, PixelLimit(53e-6, "the.param"))


def test_an_image_of_exactly_as_many_pixels_as_are_allowed_is_read():
    content = encoded(np.zeros((1000, 1001, 3), np.uint8), "png")
    assert decode_image(content, None, PixelLimit(1.001)).shape == (3, 1000, 1001)


def test_an_image_of_a_record_may_have_as_many_pixels_as_the_record_says(root, monkeypatch):
    monkeypatch.setattr(load, "DEFAULT_LIMIT", PixelLimit(53e-6))
    Image.fromarray(picture()).save(root / "a.png")
    assert load_image(root, record("a.png", 9, 6)).shape == (3, 6, 9)
    with pytest.raises(DataError, match="more than 53; make"):
        read_image(root / "a.png")


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "bmp"])
def test_an_image_of_another_size_than_its_record_is_refused_by_its_header(root, kind):
    (root / "a").write_bytes(cut(kind))
    with pytest.raises(DataError, match="the image is 90 x 60, its annotations are for 90 x 61"):
        load_image(root, record("a", 90, 61))
    with pytest.raises(DataError, match="no readable image"):
        load_image(root, record("a", 90, 60))


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff"])
def test_the_size_of_an_image_is_read_from_its_header_alone(root, kind):
    (root / "a").write_bytes(cut(kind))
    assert image_size(root / "a") == (90, 60)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("turn", [5, 8])
def test_the_size_of_a_turned_image_is_upright_before_it_is_decoded(root, turn, compression):
    exif = Image.Exif()
    exif[0x0112] = turn
    stored = Image.fromarray(np.ascontiguousarray(TURNS[turn](picture())))
    stored.save(root / "a.tif", tiffinfo={0x0112: turn}, compression=compression)
    stored.save(root / "a.png", exif=exif)
    stored.save(root / "a.jpg", exif=exif)
    assert {image_size(root / f"a.{kind}") for kind in ("tif", "png", "jpg")} == {(9, 6)}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("animated", [False, True])
def test_a_png_may_have_its_exif_before_and_after_its_pixels(root, place, animated):
    stored, exif = Image.fromarray(np.rot90(picture()).copy()), Image.Exif()
    exif[0x0112] = 6
    other = {"save_all": True, "append_images": [Image.new("RGB", (6, 9))]} if animated else {}
    stored.save(root / "a.png", **other)
    body = exif.tobytes()[6:]
    chunk = struct.pack(">I", len(body)) + (named := b"eXIf" + body)
    chunk += struct.pack(">I", zlib.crc32(named))
    content = (root / "a.png").read_bytes()
    end = 33 if place == "before" else len(content) - 12
    (root / "a.png").write_bytes(content[:end] + chunk + content[end:])
    turned = place == "before" or not animated  # behind other frames it is theirs
    assert image_size(root / "a.png") == ((9, 6) if turned else (6, 9))
    pixels = read_image(root / "a.png").permute(1, 2, 0)
    assert np.array_equal(pixels, picture() if turned else np.asarray(stored))


def test_a_pipe_is_no_image_to_wait_for(root):
    os.mkfifo(root / "a.jpg")
    for read in (read_image, image_size):
        with pytest.raises(DataError, match="it is a pipe or a device"):
            read(root / "a.jpg")


def test_large_images_of_several_threads_wait_for_each_other(root):
    room, order = Room(most=10, small=2), []
    waiting = threading.Thread(target=lambda: order.append(room.taken(6).__enter__()))
    with room.taken(6):
        waiting.start()
        with room.taken(2), room.taken(4):
            order.append("small ones do not wait")
        waiting.join(0.05)
        assert order == ["small ones do not wait"]
    waiting.join(5)
    assert order == ["small ones do not wait", None]


def test_an_image_larger_than_the_room_takes_all_of_it_and_gives_it_back(root):
    room, order = Room(most=10, small=2), []
    waiting = threading.Thread(target=lambda: order.append(room.taken(3).__enter__()))
    with room.taken(11):
        waiting.start()
        waiting.join(0.05)
        assert order == []
    waiting.join(5)
    assert order == [None]
    with room.taken(7):
        pass
