import json
from pathlib import Path

import pytest

from datastill.coco.normalize import learned_categories, normalize, read_published
from datastill.errors import DataError

REAL = Path(__file__).parents[3] / "shared/real"


def voc_object(name, *sides, difficult=0):
    box = "".join(
        f"<{key}>{side}</{key}>"
        for key, side in zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True)
    )
    return (
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox>"
        "</object>"
    )


@pytest.fixture
def voc(tmp_path):
    """Write one XML file per name; return the folder of annotations."""

    def write(**objects):
        folder = tmp_path / "Annotations"
        folder.mkdir(exist_ok=True)
        for name, content in objects.items():
            size = "<size><width>40</width><height>30</height><depth>3</depth></size>"
            text = f"<annotation><filename>{name}.jpg</filename>{size}{content}</annotation>"
            (folder / f"{name}.xml").write_text(text)
        return folder

    return write


def test_pixels_counted_from_one_become_a_continuous_box(voc):
    coco = read_published(voc(a=voc_object("cell", 1, 1, 40, 30), b=voc_object("cell", 5, 6, 5, 8)))
    assert [each["bbox"] for each in coco.annotations] == [[0, 0, 40, 30], [4, 5, 1, 3]]
    assert [image["file_name"] for image in coco.images] == ["a.jpg", "b.jpg"]
    assert (coco.images[0]["width"], coco.images[0]["height"]) == (40, 30)
    normalized, flat = normalize(coco, *learned_categories(coco, "boxes"))
    assert [each["area"] for each in normalized.annotations] == [1200, 3]
    assert flat == 0


def test_categories_are_numbered_by_their_names(voc):
    coco = read_published(voc(a=voc_object("dog", 1, 1, 9, 9) + voc_object("cat", 1, 1, 9, 9)))
    assert coco.categories == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert [each["category_id"] for each in coco.annotations] == [2, 1]


def test_a_box_beyond_the_image_is_clipped_and_said_to_be(voc, caplog):
    (box,) = read_published(voc(a=voc_object("cell", 31, 21, 44, 33))).annotations
    assert box["bbox"] == [30, 20, 10, 10]
    assert "1 boxes extend beyond their image" in caplog.text


def test_a_box_without_extent_is_left_out(voc):
    coco = read_published(voc(a=voc_object("cell", 9, 9, 8, 12) + voc_object("cell", 1, 1, 2, 2)))
    normalized, flat = normalize(coco, *learned_categories(coco, "boxes"))
    assert flat == 1
    assert [each["bbox"] for each in normalized.annotations] == [[0, 0, 2, 2]]


def test_a_difficult_object_is_an_ordinary_one(voc, caplog):
    (box,) = read_published(voc(a=voc_object("cell", 1, 1, 9, 9, difficult=1))).annotations
    assert box["iscrowd"] == 0
    assert "1 objects are marked difficult" in caplog.text


def test_a_list_takes_its_images_and_all_categories(voc, tmp_path):
    voc(a=voc_object("dog", 1, 1, 9, 9), b=voc_object("cat", 1, 1, 9, 9))
    split = tmp_path / "ImageSets/Main/train.txt"
    split.parent.mkdir(parents=True)
    split.write_text("a\n")
    coco = read_published(split)
    assert [image["file_name"] for image in coco.images] == ["a.jpg"]
    assert coco.annotations[0]["category_id"] == 2
    split.write_text("a  1\nb -1\n\n")
    assert len(read_published(split).images) == 2
    split.write_text("a\nc\n")
    with pytest.raises(DataError, match=r"train.txt: lists 2 images, .* such as c.xml"):
        read_published(split)
    with pytest.raises(DataError, match=r"val.txt: expected a list of images"):
        read_published(split.with_name("val.txt"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<width>40</width>", "", "expected <size/width> in <annotation>, found none"),
        ("<width>40</width>", "<width>0</width>", "expected a size in pixels, found 0 x 30"),
        ("<filename>a.jpg</filename>", "", "expected <filename> in <annotation>"),
        ("<name>cell</name>", "<name> </name>", "expected <name> in <object>"),
        ("<ymax>9</ymax>", "<ymax>nine</ymax>", "expected a number as <bndbox/ymax>, found 'nine'"),
        ("<ymax>9</ymax>", "<ymax>nan</ymax>", "expected a number as <bndbox/ymax>, found 'nan'"),
        ("</annotation>", "", "expected Pascal VOC XML, found other content"),
    ],
)
def test_a_malformed_file_is_named(voc, old, new, message):
    file = voc(a=voc_object("cell", 1, 1, 9, 9)) / "a.xml"
    content = file.read_text()
    assert old in content
    file.write_text(content.replace(old, new))
    with pytest.raises(DataError, match=f"a.xml: {message}"):
        read_published(file.parent)


def test_two_files_of_one_image_are_named(voc):
    folder = voc(a=voc_object("cell", 1, 1, 9, 9), b="", c="")
    copied = (folder / "a.xml").read_text()
    (folder / "c.xml").write_text(copied)
    with pytest.raises(
        DataError, match=r"a.xml and c.xml have the same <filename>, a.jpg; correct"
    ):
        read_published(folder)


def test_real_cells_are_those_of_the_same_set_as_coco():
    if not (REAL / "blood-cells-voc").is_dir():
        pytest.skip(f"no real blood cells in {REAL}")
    converted = json.loads((REAL / "blood-cells/annotations.json").read_text())
    coco = read_published(REAL / "blood-cells-voc/BCCD/Annotations")

    def boxes(images, annotations, categories):
        files = {image["id"]: image["file_name"] for image in images}
        names = {category["id"]: category["name"] for category in categories}
        return sorted(
            (files[a["image_id"]], names[a["category_id"]], a["bbox"]) for a in annotations
        )

    assert boxes(coco.images, coco.annotations, coco.categories) == boxes(
        **{key: converted[key] for key in ("images", "annotations", "categories")}
    )
    assert len(coco.annotations) == 4888
