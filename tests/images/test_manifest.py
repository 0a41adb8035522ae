import csv
import hashlib
import io
import re
import tracemalloc

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from datastill.coco.format import read_coco
from datastill.coco.subsets import union
from datastill.errors import DataError
from datastill.images.load import Refusal, load_image
from datastill.images.manifest import examine, read_column, write_sets
from datastill.images.perceptual_hash import near_duplicates, perceptual_hash

SIZE = (80, 60)


def picture():
    """A colourful picture with large shapes, which any encoding keeps."""
    cells = np.random.default_rng(1).integers(30, 226, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(cells, SIZE, interpolation=cv2.INTER_CUBIC)


def encoded(image, kind="JPEG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def sixteen_bits():
    grey = np.asarray(Image.fromarray(picture()).convert("L")).astype(np.uint16)
    return encoded(Image.fromarray(grey * 257), "PNG")


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    stored = np.ascontiguousarray(np.rot90(picture()))
    return encoded(Image.fromarray(stored), quality=95, exif=exif)


def contents():
    plain = Image.fromarray(picture())
    return {
        "plain.jpg": encoded(plain, quality=95),
        "cut.jpg": encoded(plain)[:-200],
        "cmyk.jpg": encoded(plain.convert("CMYK"), quality=95),
        "deep.png": sixteen_bits(),
        "turned.jpg": turned(),
        "empty.jpg": b"",
        "text.jpg": b"no image at all\n" * 9,
        "grey.jpg": encoded(plain.convert("L"), quality=95),
        "large.jpg": encoded(plain.resize((90, 60))),
    }


BAD = {
    "cut.jpg": r"no readable image: .*truncated",
    "empty.jpg": r"no readable image: the file is empty",
    "text.jpg": r"no readable image: unknown format",
    "large.jpg": r"the image is 90 x 60, its annotations are for 80 x 60",
    "gone.jpg": r"no readable file: No such file or directory",
    "folder.jpg": r"no readable file: Is a directory",
}


@pytest.fixture
def records(tmp_path):
    """Records of whole and of broken images below `tmp_path`, all annotated at one size."""
    files = contents()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.jpg").mkdir()
    named = enumerate([*files, "gone.jpg", "folder.jpg"], start=1)
    width, height = SIZE
    return [{"id": n, "file_name": name, "width": width, "height": height} for n, name in named]


def test_whole_images_are_listed_and_the_others_refused_each_with_its_reason(tmp_path, records):
    heard = []
    manifest, refused = examine(tmp_path, records, heard.append)
    names = [record["file_name"] for record in records]
    assert manifest["file_name"].tolist() == [name for name in names if name not in BAD]
    assert [refusal.file_name for refusal in refused] == [name for name in names if name in BAD]
    for refusal in refused:
        assert re.fullmatch(f"{BAD[refusal.file_name]}.*", refusal.reason)
    assert sum(heard) == len(records)


def test_a_reason_is_the_same_in_every_run_and_on_every_machine(tmp_path, records):
    first, second = (examine(tmp_path, records, lambda _: None)[1] for _ in range(2))
    assert first == second
    for refusal in first:
        assert "0x" not in refusal.reason
        assert str(tmp_path) not in refusal.reason


@pytest.mark.parametrize("name", ["plain.jpg", "cmyk.jpg", "deep.png", "turned.jpg", "grey.jpg"])
def test_an_unusual_but_whole_image_is_taken_for_the_picture_it_shows(tmp_path, records, name):
    record = next(record for record in records if record["file_name"] == name)
    manifest, refused = examine(tmp_path, [record], lambda _: None)
    assert refused == []
    assert [*near_duplicates([perceptual_hash(picture())], manifest["likeness"].tolist(), 6)]
    pixels = load_image(tmp_path, record).permute(1, 2, 0).numpy()
    wanted = picture()
    if name in {"deep.png", "grey.jpg"}:
        wanted = np.asarray(Image.fromarray(wanted).convert("L").convert("RGB"))
    assert pixels.shape == (60, 80, 3)
    assert np.abs(pixels.astype(int) - wanted).mean() < 5


def test_a_line_has_size_and_digest_of_the_file_as_it_lies_there(tmp_path, records):
    manifest, _ = examine(tmp_path, records, lambda _: None)
    for line in manifest.itertuples():
        content = (tmp_path / line.file_name).read_bytes()
        assert line.size == len(content)
        assert line.digest == hashlib.sha256(content).hexdigest()


def test_a_line_has_the_mean_brightness_of_its_image(tmp_path):
    levels = {"dark.png": (30, 30, 30), "bright.png": (200, 220, 240)}
    for name, colour in levels.items():
        Image.new("RGB", SIZE, colour).save(tmp_path / name)
    images = [{"file_name": name, "width": SIZE[0], "height": SIZE[1]} for name in levels]
    manifest, _ = examine(tmp_path, images, lambda _: None)
    assert manifest["brightness"].tolist() == [30.0, 220.0]


@pytest.mark.parametrize("name", ["../out.jpg", "/etc/passwd", "sub/../../out.jpg"])
def test_a_name_that_leaves_the_root_is_an_error(tmp_path, records, name):
    (tmp_path / "out.jpg").write_bytes(contents()["plain.jpg"])
    (tmp_path / "root" / "sub").mkdir(parents=True)
    records[0]["file_name"] = name
    with pytest.raises(DataError, match=f"{re.escape(repr(name))} leaves the image folder"):
        examine(tmp_path / "root", records, lambda _: None)


def test_of_no_image_the_manifest_is_an_empty_table(tmp_path):
    manifest, refused = examine(tmp_path, [], lambda _: None)
    assert list(manifest.columns) == ["file_name", "size", "digest", "likeness", "brightness"]
    assert (len(manifest), refused) == (0, [])


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_sets_manifest_and_refusals_come_back_as_they_were_written(
    tmp_path, coco, person, write_images
):
    one, other = coco([1, 2], [person(2)], "one"), coco([3], folder="other")
    root, folder = tmp_path / "images", tmp_path / "sets"
    for content in (one, other):
        write_images(root, content)
    sets = {"one": one, "other": other, "both": union([one, other])}
    manifest, _ = examine(root, [*one.images, *other.images], lambda _: None)
    refused = [("one", Refusal("one/9.png", 'says "no", or nothing')), ("two", Refusal("b", "c"))]
    write_sets(folder, sets, manifest, refused)
    assert {name: read_coco(folder / f"{name}.json") for name in sets} == sets
    lines = read_csv(folder / "manifest.csv")
    assert [line["file_name"] for line in lines] == ["one/1.png", "one/2.png", "other/3.png"]
    assert [line["likeness"] for line in lines] == manifest["likeness"].tolist()
    assert [line["digest"] for line in lines] == manifest["digest"].tolist()
    assert [int(line["size"]) for line in lines] == manifest["size"].tolist()
    assert [float(line["brightness"]) for line in lines] == manifest["brightness"].tolist()
    assert read_csv(folder / "refused.csv") == [
        {"set": "one", "file_name": "one/9.png", "reason": 'says "no", or nothing'},
        {"set": "two", "file_name": "b", "reason": "c"},
    ]
    assert len(list(folder.iterdir())) == 5


def test_other_pixels_under_the_same_names_make_other_files_of_the_same_set(tmp_path, coco):
    content, files = coco([1, 2]), []
    names = [image["file_name"] for image in content.images]
    for number, digests in enumerate((["a", "b"], ["a", "c"], ["a", "b"])):
        manifest = pd.DataFrame({"file_name": names, "digest": digests})
        write_sets(tmp_path / str(number), {"set": content}, manifest)
        assert read_coco(tmp_path / str(number) / "set.json") == content
        files.append((tmp_path / str(number) / "set.json").read_bytes())
    assert files[0] == files[2] != files[1]


def test_a_column_is_read_as_text_though_hashes_look_like_numbers(tmp_path):
    line = {"file_name": "a/1.png", "size": 7, "digest": "0" * 64, "likeness": "00" + "1" * 30}
    write_sets(tmp_path, {}, pd.DataFrame([line]))
    for column in ("size", "digest", "likeness"):
        assert read_column(tmp_path / "manifest.csv", column) == {"a/1.png": str(line[column])}


def test_a_manifest_that_is_absent_is_named(tmp_path):
    with pytest.raises(DataError, match=r"manifest\.csv: no such file; the data stage writes it"):
        read_column(tmp_path / "manifest.csv", "digest")


def test_where_nothing_is_refused_the_list_of_it_is_empty(tmp_path, coco):
    write_sets(tmp_path, {"a": coco([])}, pd.DataFrame(columns=["file_name", "digest"]))
    assert (tmp_path / "refused.csv").read_text() == "set,file_name,reason\n"


@pytest.mark.parametrize(
    "content", [b"", b"file_name,size\na.png,7\n", b"file_name,size,digest\na.png,7\n", b"\xff\xfe"]
)
def test_a_damaged_manifest_says_which_stage_to_run_again(tmp_path, content):
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"manifest\.csv: expected the table .* again"):
        read_column(path, "digest")


def test_a_column_is_read_in_the_manifests_order_for_a_fraction_of_a_dicts_memory(tmp_path):
    lines = [{"file_name": f"ö/{i:06}.png", "digest": f"{i % 97:064x}"} for i in range(20_000)]
    pd.DataFrame(lines[::-1]).to_csv(tmp_path / "manifest.csv", index=False)
    tracemalloc.start()
    column = read_column(tmp_path / "manifest.csv", "digest")
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / len(lines) < 110  # bytes; 280 in a dict
    assert [*column] == [line["file_name"] for line in lines[::-1]]
    assert all(column[line["file_name"]] == line["digest"] for line in lines[::7])
    assert "ö/none.png" not in column
    assert len(column) == len(lines)
