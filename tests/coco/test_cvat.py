import pytest

from datastill.coco.normalize import learned_categories, normalize, read_labels
from datastill.errors import DataError

META = """<meta><job><id>7</id><labels>
  <label><name>dog</name><color>#ff0000</color><type>rectangle</type><attributes/></label>
  <label><name>cat</name><color>#00ff00</color><type>any</type><attributes/></label>
  <label><name>good</name><type>tag</type></label>
  <label><name>pose</name><type>skeleton</type><svg>&lt;line/&gt;</svg></label>
  <label><name>nose</name><type>points</type><parent>pose</parent></label>
  <label><name>tail</name><type>points</type><parent>pose</parent></label>
</labels></job></meta>"""
BOX = '<box label="cat" source="manual" occluded="0" xtl="10.00" ytl="8.00" xbr="30.00" ybr="18.00"'
CAT = f'{BOX} z_order="0"><attribute name="age">9</attribute></box>'
POLYGON = '<polygon label="cat" occluded="0" points="0,0;20,0;20,20" z_order="0"></polygon>'
SKELETON = """<skeleton label="pose" source="manual" z_order="0">
  <points label="tail" source="manual" outside="0" occluded="1" points="20.00,16.00"></points>
  <points label="nose" source="manual" outside="0" occluded="0" points="12.00,9.00"></points>
</skeleton>"""
ABSENT = SKELETON.replace('outside="0"', 'outside="1"')


def point(label, x, y, extra=""):
    return f'<points label="{label}" source="manual" occluded="0" points="{x},{y}"{extra}></points>'


@pytest.fixture
def cvat(tmp_path):
    """Write one XML file, of images of 40 x 20 pixels; return its path."""

    def write(meta=META, file="annotations.xml", extra="", **images):
        elements = (
            f'<image id="{number}" name="day/{name}.jpg" {extra} width="40" height="20">{shapes}'
            "</image>"
            for number, (name, shapes) in enumerate(images.items())
        )
        text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}'
        path = tmp_path / "task" / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{text}{''.join(elements)}</annotations>")
        return path

    return write


def read(path, task="keypoints"):
    coco = read_labels(path)
    return normalize(coco, *learned_categories(coco, task), source=path)[0]


def test_regions_are_boxes_and_polygons_have_masks(cvat, caplog):
    mask = '<mask label="dog" rle="1, 2" left="3" top="4" width="5" height="6" z_order="0"></mask>'
    ellipse = '<ellipse label="dog" cx="20" cy="10" rx="5" ry="3" z_order="0"></ellipse>'
    path = cvat(a=CAT + POLYGON, b="", c=mask + ellipse + '<tag label="good"></tag>')
    coco = read(path, "boxes")
    names = [image["file_name"] for image in coco.images]
    assert names == ["day/a.jpg", "day/b.jpg", "day/c.jpg"]
    assert coco.categories == [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}], "CVAT's order"
    boxes = [(each["category_id"], each["bbox"]) for each in coco.annotations]
    assert boxes == [
        (2, [10, 8, 20, 10]),
        (2, [0, 0, 20, 20]),
        (1, [3, 4, 5, 6]),
        (1, [15, 7, 10, 6]),
    ]
    assert coco.annotations[1]["area"] == pytest.approx(200, abs=20)
    assert "annotations.xml: read as CVAT for images" in caplog.text


def test_a_rotated_region_is_its_extent_and_one_beyond_the_image_is_clipped(cvat, caplog):
    ellipse = '<ellipse label="cat" cx="20" cy="10" rx="8" ry="4" rotation="270.00"></ellipse>'
    beyond = CAT.replace('xbr="30.00"', 'xbr="45.00"')
    path = cvat(a=f'{BOX} rotation="90.00"></box>', b=ellipse, c=beyond)
    boxes = [each["bbox"] for each in read(path, "boxes").annotations]
    assert boxes == [
        pytest.approx(box) for box in ([15, 3, 10, 20 - 3], [16, 2, 8, 16], [10, 8, 30, 10])
    ]
    assert "2 regions are rotated" in caplog.text


def test_a_skeleton_is_an_object_with_the_keypoints_that_cvat_lists(cvat, caplog):
    coco = read(cvat(a=SKELETON, b=ABSENT))
    assert coco.categories[-1]["keypoints"] == ["nose", "tail"]
    (pose,) = coco.annotations  # the other was switched off in its frame
    assert pose["keypoints"] == [12, 9, 2, 20, 16, 1]
    assert pose["bbox"] == [2, 0, 28, 20]
    assert "1 annotations have no box" in caplog.text
    half = ABSENT.replace('outside="1"', 'outside="0"', 1)
    assert read(cvat(a=half)).annotations[0]["keypoints"] == [0, 0, 0, 20, 16, 1]
    assert read(cvat(meta="", a=half)).categories[0]["keypoints"] == ["tail", "nose"]


def test_a_group_joins_a_box_and_a_skeleton_but_never_two_of_a_kind(cvat):
    grouped = (SKELETON + CAT).replace(' z_order="0"', ' z_order="0" group_id="3"')
    (cat,) = read(cvat(a=grouped)).annotations
    assert (cat["bbox"], cat["keypoints"]) == ([10, 8, 20, 10], [12, 9, 2, 20, 16, 1])
    crowd = read_labels(cvat(a=grouped.replace("10.00", "11.00") + grouped))
    assert len(crowd.annotations) == 4, "two boxes and two skeletons"


def test_regions_of_two_labels_are_two_objects_in_spite_of_their_group(cvat):
    grouped = POLYGON.replace(" occluded", ' group_id="3" occluded')
    dog = grouped.replace('"cat"', '"dog"').replace("0,0;20,0", "5,0;20,0")
    coco = read(cvat(a=grouped + dog), "boxes")
    boxes = [(each["category_id"], each["bbox"]) for each in coco.annotations]
    assert boxes == [(2, [0, 0, 20, 20]), (1, [5, 0, 15, 20])]
    skeleton = SKELETON.replace("<skeleton", '<skeleton group_id="3"')
    pose = read(cvat(a=grouped + dog + skeleton)).annotations[-1]
    assert (pose["bbox"], pose["keypoints"]) == ([2, 0, 28, 20], [12, 9, 2, 20, 16, 1])


def test_points_are_keypoints_of_their_group_or_of_the_box_that_holds_them(cvat):
    other = CAT.replace('label="cat"', 'label="cat" group_id="1"')
    far = point("nose", 39, 1, ' group_id="1"')
    coco = read(cvat(meta="", a=other + far, b=CAT + point("tail", 12, 9)))
    assert coco.categories == [{"id": 1, "name": "cat", "keypoints": ["nose", "tail"]}]
    keypoints = [each["keypoints"] for each in coco.annotations]
    assert keypoints == [[39, 1, 2, 0, 0, 0], [0, 0, 0, 12, 9, 2]]


def test_several_points_of_one_shape_are_an_object_with_numbered_keypoints(cvat):
    wheel = '<points label="wheel" occluded="0" points="10,10;20,15" z_order="0"></points>'
    coco = read(cvat(meta="", a=wheel * 2))
    assert coco.categories == [
        {"id": 1, "name": "wheel", "keypoints": ["keypoint_1", "keypoint_2"]}
    ]
    assert [each["keypoints"] for each in coco.annotations] == [[10, 10, 2, 20, 15, 2]] * 2


def test_the_jobs_of_a_folder_are_one_set_and_an_image_of_two_jobs_is_one(cvat, caplog):
    cvat(a=CAT, b=CAT)
    folder = cvat(file="job_2.xml", b=CAT + POLYGON, c="").parent
    coco = read(folder, "boxes")
    assert len(coco.images) == 3
    assert len(coco.annotations) == 3, "the box that both jobs have counts once"
    assert "1 images are listed twice" in caplog.text


def test_a_subset_is_the_folder_of_its_images(cvat):
    path = cvat(extra='subset="train" task_id="4"', a=CAT)
    assert read_labels(path).images[0]["file_name"] == "train/day/a.jpg"


def test_lines_and_cuboids_are_left_out(cvat, caplog):
    line = '<polyline label="cat" points="0,0;9,9"></polyline>'
    assert len(read(cvat(a=CAT + line + '<cuboid label="cat"></cuboid>'), "boxes").annotations) == 1
    assert "left out: 1 cuboid, 1 polyline" in caplog.text


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (CAT.replace('xtl="10.00"', ""), "expected a number as xtl of <box>, found ''"),
        (CAT.replace("10.00", "nan"), "expected a number as xtl of <box>, found 'nan'"),
        (CAT.replace('label="cat"', ""), "expected a label of <box>, found none"),
        (POLYGON.replace("20,0;", "20;"), "expected x,y;x,y;... as points of <polygon>"),
        (POLYGON.replace("20,0;", ""), "expected 3 points or more in <polygon>, found 2"),
        (CAT * 2 + point("nose", 12, 9), "expected point 'nose' in the box of one object"),
        (SKELETON.replace("20.00,", "1,1;20,"), "expected one point as 'tail' of 'pose', found 2"),
        (
            point("nose", 1, 1) + point("nose", 1, "1;2,2"),
            "expected 1 points in <points> of 'nose'",
        ),
    ],
)
def test_a_malformed_shape_is_named_with_its_image(cvat, shapes, message):
    with pytest.raises(
        DataError, match=rf"annotations.xml, image 'day/a.jpg': {message}"
    ) as caught:
        read_labels(cvat(a=shapes))
    assert "correct it in CVAT" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('width="40"', "", ", image 'day/a.jpg': expected a number as width of <image>"),
        ('name="day/a.jpg"', "", ", image None: expected name, width and height"),
        ("</annotations>", "", ": expected CVAT XML, found other content"),
        ("</annotations>", "<track/></annotations>", ": .* found CVAT for video; export the task"),
        ("<annotations>", '<!DOCTYPE a [<!ENTITY a "b">]><annotations>', ": .* the entity 'a'"),
    ],
)
def test_a_malformed_file_is_named(cvat, old, new, message):
    path = cvat(a=CAT)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=f"annotations.xml{message}"):
        read_labels(path)
