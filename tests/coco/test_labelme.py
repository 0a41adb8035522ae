import json

import pytest

from datastill.coco.normalize import learned_categories, normalize, read_labels
from datastill.errors import DataError


def shape(label, kind, *points, group=None):
    return {"label": label, "shape_type": kind, "points": points, "group_id": group}


CAT = shape("cat", "rectangle", [30, 18], [10, 8])
NOSE, TAIL = shape("nose", "point", [12, 9]), shape("tail", "point", [29, 17])


@pytest.fixture
def labelme(tmp_path):
    """Write the JSON of one image of 40 x 20 pixels per name; return their folder."""

    def write(image_path="{}.jpg", **images):
        folder = tmp_path / "labels"
        folder.mkdir(exist_ok=True)
        for name, shapes in images.items():
            content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imageData": None}
            size = {"imageWidth": 40, "imageHeight": 20}
            path = {"imagePath": image_path.format(name)}
            (folder / f"{name}.json").write_text(json.dumps(content | path | size))
        return folder

    return write


def read(folder, task="keypoints"):
    coco = read_labels(folder)
    return normalize(coco, *learned_categories(coco, task), source=folder)[0]


def test_regions_are_boxes_and_polygons_have_masks(labelme):
    triangle = shape("dog", "polygon", [0, 0], [20, 0], [20, 20])
    coco = read(labelme(a=[CAT, triangle], b=[shape("cat", "circle", [20, 10], [25, 10])]), "boxes")
    assert coco.categories == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    cat, dog, ball = coco.annotations
    assert (cat["bbox"], cat["area"]) == ([10, 8, 20, 10], 200)
    assert (dog["category_id"], dog["bbox"]) == (2, [0, 0, 20, 20])
    assert dog["area"] == pytest.approx(200, abs=20)
    assert ball["bbox"] == [15, 5, 10, 10]
    assert [image["file_name"] for image in coco.images] == ["a.jpg", "b.jpg"]


def test_a_region_beyond_the_image_is_clipped_and_an_image_without_shapes_is_kept(labelme):
    coco = read(labelme(a=[shape("cat", "rectangle", [-5, 5], [50, 25])], b=[]), "boxes")
    assert coco.annotations[0]["bbox"] == [0, 5, 40, 15]
    assert len(coco.images) == 2


def test_points_are_keypoints_of_their_group_their_only_object_or_the_one_that_holds_them(labelme):
    folder = labelme(
        grouped=[
            CAT | {"group_id": 1},
            NOSE | {"group_id": 1},
            shape("cat", "mask", [0, 0], [9, 9]),
        ],
        single=[CAT, shape("tail", "point", [5, 5])],
        held=[CAT, shape("cat", "rectangle", [0, 0], [5, 5]), NOSE, TAIL],
    )
    coco = read(folder)
    assert coco.categories == [{"id": 1, "name": "cat", "keypoints": ["nose", "tail"]}]
    assert [each["keypoints"] for each in coco.annotations] == [
        [12, 9, 2, 0, 0, 0],
        [0] * 6,
        [12, 9, 2, 29, 17, 2],
        [0] * 6,
        [0, 0, 0, 5, 5, 2],
    ]


def test_polygons_of_one_group_are_one_object(labelme):
    parts = [shape("cat", "polygon", [x, 0], [x + 5, 0], [x, 5], group=3) for x in (0, 20)]
    (cat,) = read(labelme(a=parts), "boxes").annotations
    assert cat["bbox"] == [0, 0, 25, 5]


def test_regions_of_two_labels_are_two_objects_in_spite_of_their_group(labelme):
    parts = [
        shape(n, "polygon", [x, 0], [x + 5, 0], [x, 5], group=3)
        for n, x in (("cat", 0), ("dog", 20))
    ]
    coco = read(labelme(a=parts), "boxes")
    assert [(a["category_id"], a["bbox"]) for a in coco.annotations] == [
        (1, [0, 0, 5, 5]),
        (2, [20, 0, 5, 5]),
    ]


def test_points_alone_are_one_object_with_a_margin(labelme, caplog):
    coco = read(labelme(a=[NOSE, TAIL]))
    assert coco.categories[0]["name"] == "object"
    assert coco.annotations[0]["bbox"] == [2, 0, 37, 20]
    assert "1 annotations have no box; theirs is the extent of the keypoints" in caplog.text
    assert read(labelme(a=[NOSE], b=[CAT, TAIL])).categories[0]["name"] == "cat"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("..\\images\\{}.jpg", "images/a.jpg"),
        ("../{}.jpg", "a.jpg"),
        ("./{}.jpg", "a.jpg"),
        ("/home/me/{}.jpg", "home/me/a.jpg"),
    ],
)
def test_the_path_of_an_image_stays_in_its_folder(labelme, written, name):
    assert read_labels(labelme(written, a=[CAT])).images[0]["file_name"] == name


def test_a_path_is_relative_to_its_file(labelme, tmp_path):
    folder = labelme("../images/{}.jpg", a=[CAT])
    (folder / "day/one").mkdir(parents=True)
    (folder / "a.json").rename(folder / "day/one/a.json")
    assert read_labels(folder).images[0]["file_name"] == "day/images/a.jpg"


def test_other_json_and_lines_are_left_out(labelme, caplog):
    folder = labelme(a=[CAT, shape("way", "linestrip", [0, 0], [9, 9])])
    (folder / "notes.json").write_text('{"by": "me"}')
    coco = read_labels(folder)
    assert (len(coco.images), len(coco.annotations)) == (1, 1)
    assert "shapes other than regions and points are left out: linestrip" in caplog.text


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([CAT, CAT, NOSE], "expected point 'nose' in the box of one object, found it in 2"),
        ([CAT, NOSE, NOSE], "expected one point 'nose' on every object, found two"),
        ([shape("cat", "polygon", [0, 0], [9, 9])], "expected a polygon with a label and points"),
        ([shape("cat", "rectangle", [0, None], [9, 9])], "expected a rectangle with a label"),
        ([shape(None, "point", [0, 0])], "expected a point with a label"),
        ({"cat": 1}, "expected shapes as a list of objects"),
    ],
)
def test_a_malformed_file_is_named(labelme, shapes, message):
    with pytest.raises(DataError, match=f"a.json: {message}"):
        read_labels(labelme(a=shapes))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"imageWidth": 40', '"imageWidth": null', "expected imagePath, imageWidth and"),
        ("}", "", "expected LabelMe JSON, found other text"),
    ],
)
def test_a_file_that_is_torn_or_lacks_its_size_is_named(labelme, old, new, message):
    file = labelme(a=[CAT]) / "a.json"
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(DataError, match=f"a.json: {message}"):
        read_labels(file.parent)
