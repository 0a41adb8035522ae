import json
import re
from copy import deepcopy

import numpy as np
import pytest
from places import REAL
from pycocotools import mask as masks
from pycocotools.coco import COCO

from datastill.coco.format import PERSON, Coco, read_coco, write_coco
from datastill.coco.normalize import (
    learned_categories,
    normalize,
    read_foreign,
    read_labels,
    read_published,
)
from datastill.coco.subsets import trainable
from datastill.errors import DataError

ANNOTATIONS = REAL / "coco" / "annotations"
ROUND = [20, 4, 30, 9, 33, 20, 24, 27, 9, 22, 6.5, 10.25]  # a polygon, x y x y ...
SMALL = [1, 1, 5, 1, 5, 5, 1, 5]


def plain_rle():
    """A disc in a 40 x 30 image, as COCO writes crowds: runs of 0 and 1 down the columns."""
    y, x = np.mgrid[:30, :40]
    bits = ((x - 20) ** 2 + (y - 15) ** 2 < 81).ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], bits, [1 - bits[-1]]])))
    return {"size": [30, 40], "counts": np.diff([0, *edges]).tolist()}


def packed_rle():
    packed = masks.frPyObjects(plain_rle(), 30, 40)
    return {"size": [30, 40], "counts": packed["counts"].decode()}


SHAPES = {
    "one polygon": [ROUND],
    "polygons that overlap": [ROUND, SMALL, [4, 4, 12, 4, 12, 12]],
    "plain RLE": plain_rle(),
    "packed RLE": packed_rle(),
}


def less(record, *keys):
    return {key: value for key, value in record.items() if key not in keys}


def published(path, content):
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("crowd", [0, 1])
def test_a_missing_area_is_that_of_the_mask_as_pycocotools_has_it(coco, person, shape, crowd):
    annotation = less(person(segmentation=SHAPES[shape], iscrowd=crowd), "area")
    content = coco([1], [annotation])
    theirs = COCO()
    theirs.dataset = vars(content)
    theirs.createIndex()
    (normalized,) = normalize(content, PERSON)[0].annotations
    assert normalized["area"] == masks.area(theirs.annToRLE(annotation))
    assert normalized["area"] != 200, "the box has another area"
    assert normalized["iscrowd"] == crowd


@pytest.mark.parametrize("shape", [None, [], {}])
def test_without_a_mask_a_missing_area_is_that_of_the_box(coco, person, shape):
    annotation = less(person(segmentation=shape, bbox=[1, 2, 8.5, 10]), "area")
    (normalized,) = normalize(coco([1], [annotation]), PERSON)[0].annotations
    assert normalized["area"] == 85.0


@pytest.mark.parametrize("area", [0, -1.5])
def test_an_area_that_no_box_can_have_is_worked_out_too(coco, person, area):
    masked = person(1, 6, area=area, segmentation=[ROUND])
    flat = person(1, 7, area=area, segmentation=[[3, 3, 3, 3, 3, 3]], bbox=[1, 2, 8.5, 10])
    content = coco([1], [masked, flat])
    known = normalize(coco([1], [less(masked, "area")]), PERSON)[0].annotations[0]["area"]
    assert [a["area"] for a in normalize(content, PERSON)[0].annotations] == [known, 85.0]


def test_no_annotation_is_of_an_image_that_it_does_not_name(coco, person):
    with pytest.raises(DataError, match=r"^annotation 7: expected the id of an image, found None"):
        normalize(coco([0], [less(person(0, 7), "image_id")]), PERSON)


@pytest.mark.parametrize("number", ["0012", 2**63, 1.5])
def test_an_image_whose_id_no_table_holds_is_named(coco, number):
    with pytest.raises(DataError, match=re.escape(f"image {number!r}: expected a whole number")):
        normalize(coco([number]), PERSON)


def test_an_image_that_is_listed_twice_is_named(coco):
    content = coco([1, 2, 3])
    content.images[2]["file_name"] = content.images[0]["file_name"]
    name = content.images[0]["file_name"]
    with pytest.raises(DataError, match=f"image {name}: expected a file of its own, found it 2"):
        normalize(content, PERSON)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_crowd_stays_one_with_its_own_area_whatever_its_mask_is(coco, person, shape):
    crowd = person(iscrowd=1, area=77.5, segmentation=SHAPES[shape])
    (normalized,) = normalize(coco([1], [crowd]), PERSON)[0].annotations
    assert normalized == person(iscrowd=1, area=77.5), "as it was, less its mask"


def test_a_person_without_keypoints_stays_as_one_of_whom_none_is_marked(coco, person):
    bare = person(keypoints=[0] * 51, num_keypoints=0)
    assert normalize(coco([1], [bare]), PERSON)[0].annotations == [bare]


@pytest.mark.parametrize(
    ("key", "expected"),
    [("keypoints", [0] * 51), ("iscrowd", 0), ("area", 200.0), ("num_keypoints", 17)],
)
def test_what_is_missing_or_null_is_worked_out(coco, person, key, expected):
    for given in (less(person(), key), {**person(), key: None}):
        (normalized,) = normalize(coco([1], [given]), PERSON)[0].annotations
        assert normalized[key] == expected
        assert set(normalized) == set(person())


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, {}),
        ({"video": "a.mp4", "video_id": 3, "frame": 9}, {"video": "a.mp4"}),
        ({"video_id": 0}, {"video": 0}),
        ({"vid_id": "000342"}, {"video": "000342"}),
        ({"video_id": None, "license": 1}, {}),
    ],
)
def test_an_image_keeps_the_video_it_is_from_if_the_file_says(coco, person, given, kept):
    content = coco([1], [person()])
    plain = dict(content.images[0])
    content.images[0] |= given
    assert normalize(content, PERSON)[0].images == [plain | kept]


@pytest.mark.parametrize("video", [["a.mp4"], {}, "", None, 1.5])
def test_a_video_that_is_neither_a_name_nor_a_number_is_none(coco, person, video):
    content = coco([1], [person()])
    content.images[0]["video_id"] = video
    (image,) = normalize(content, PERSON)[0].images
    assert "video" not in image


def test_keypoints_are_counted_by_their_visibility_whatever_the_file_says(coco, person):
    points = [5, 6, 2, 7, 8, 1, 9, 9, 0, *[0] * 42]
    annotation = person(keypoints=points, num_keypoints=9)
    (normalized,) = normalize(coco([1], [annotation]), PERSON)[0].annotations
    assert normalized["num_keypoints"] == 2
    assert normalized["keypoints"] == points


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": [1] * 48}, "expected 51 numbers for the keypoints of 'person'"),
        ({"keypoints": [1] * 50 + ["2"]}, "expected 51 numbers for the keypoints"),
        ({"keypoints": [1] * 50 + [float("nan")]}, "expected 51 numbers for the keypoints"),
        ({"keypoints": {"nose": [1, 2, 2]}}, "expected 51 numbers for the keypoints"),
        ({"bbox": None, "keypoints": [0] * 51}, r"expected bbox \(x, y, w, h\), found None"),
        ({"bbox": [1, 2, 3]}, r"expected bbox \(x, y, w, h\), found \[1, 2, 3\]"),
        ({"bbox": [1, 2, 3, "4"]}, "expected bbox"),
        ({"bbox": [1, 2, float("inf"), 4]}, "expected bbox"),
        ({"bbox": [1, 2, float("nan"), 4]}, "expected bbox"),
        ({"image_id": 3}, "expected the id of an image, found 3"),
        ({"image_id": "1"}, "expected the id of an image, found '1'"),
        ({"iscrowd": "maybe"}, "expected iscrowd 0 or 1, found 'maybe'"),
        ({"iscrowd": 2}, "expected iscrowd 0 or 1, found 2"),
        ({"iscrowd": [1]}, r"expected iscrowd 0 or 1, found \[1\]"),
        ({"keypoints": [1, 2, "2", *[0] * 48]}, r".*'person', found \[1, 2, '2'\] as 'nose'$"),
        ({"keypoints": [None, 2, 2, *[0] * 48]}, r".*'person', found \[None, 2, 2\] as 'nose'$"),
        ({"keypoints": [0] * 48}, "expected 51 numbers for the keypoints of 'person', found 48$"),
    ],
)
def test_a_malformed_annotation_is_named(coco, person, changes, message):
    content = coco([1], [person(1, 6), {**person(1, 7), **changes}])
    with pytest.raises(DataError, match=f"^annotation 7: {message}"):
        normalize(content, PERSON)


@pytest.mark.parametrize(
    ("key", "wanted"),
    [("bbox", "bbox"), ("image_id", "the id of an image"), ("category_id", "a category_id")],
)
def test_an_annotation_that_lacks_what_cannot_be_worked_out_is_named(coco, person, key, wanted):
    with pytest.raises(DataError, match=f"^annotation 7: expected {wanted}.*, found [Nn]one"):
        normalize(coco([1], [less(person(1, 7, keypoints=[0] * 51), key)]), PERSON)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": None}, r"expected width and height in pixels, found \(None, 30\)"),
        ({"height": 0}, r"expected width and height in pixels, found \(40, 0\)"),
        ({"height": "30"}, "expected width and height in pixels"),
        ({"file_name": None}, "expected a file_name, found none"),
    ],
)
def test_a_malformed_image_is_named(coco, changes, message):
    content = coco([4, 5])
    content.images[1] |= changes
    with pytest.raises(DataError, match=f"^image 5: {message}"):
        normalize(content, PERSON)
    content.images[1] = less(content.images[1], *changes)
    with pytest.raises(DataError, match=r"^image 5: expected"):
        normalize(content, PERSON)


def test_two_images_of_one_id_are_refused_with_it(coco):
    with pytest.raises(DataError, match=r"^image 5: expected an id of its own"):
        normalize(coco([4, 5, 5]), PERSON)


def test_images_keep_only_what_all_stages_know(coco):
    content = coco([1])
    wordy = Coco([{**content.images[0], "license": 3, "flickr_url": "x"}], [], [PERSON])
    assert normalize(wordy, PERSON)[0] == content


@pytest.mark.parametrize("extent", [(0, 5), (5, 0), (-3, 5), (5, -0.5), (5.7e-14, 5)])
def test_boxes_without_extent_are_left_out_and_counted(coco, person, extent):
    bare = {"keypoints": [0] * 51, "num_keypoints": 0}
    flat = [person(1, n, bbox=[4, 4, *extent], **bare) for n in (7, 8)]
    thin = person(1, 9, bbox=[4, 4, 0.01, 5])
    normalized, count = normalize(coco([1], [flat[0], thin, flat[1]]), PERSON)
    assert normalized.annotations == [thin]
    assert count == 2


def test_of_a_file_of_80_categories_only_persons_stay(coco, person):
    things = [{"id": n, "name": f"thing {n}", "supercategory": "things"} for n in range(2, 81)]
    named = [{"id": 1, "name": "person", "supercategory": "person"}, *things]
    others = [less(person(1, n, category_id=n), "keypoints", "num_keypoints") for n in (3, 80)]
    one = less(person(2, 50), "keypoints", "num_keypoints")
    content = Coco(coco([1, 2]).images, [*others, one], named)
    normalized, left_out = normalize(content, PERSON)
    assert normalized.annotations == [person(2, 50, keypoints=[0] * 51, num_keypoints=0)]
    assert normalized.categories == [PERSON]
    assert normalized.images == content.images
    assert left_out == 0, "what is of another category was not lost"


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ({"id": 0, "name": "person"}, "category 1: expected 'person' as in val, found no such id"),
        ({"id": 1, "name": "bicycle"}, "category 1: expected 'person'.* found 'bicycle' under it"),
        (
            {**PERSON, "keypoints": ["nose", "tail"]},
            r"category 'person': .* found \['nose', 'tail'",
        ),
        ({**PERSON, "keypoints": PERSON["keypoints"][::-1]}, "expected val's keypoints"),
    ],
)
def test_another_meaning_of_the_category_is_refused(coco, person, category, message):
    content = Coco(coco([1]).images, [person(category_id=category["id"])], [category])
    with pytest.raises(DataError, match=message):
        normalize(content, PERSON)


def test_a_list_of_images_needs_no_category(coco):
    content = Coco(coco([1]).images, [], [])
    assert normalize(content, PERSON)[0] == coco([1])


def test_the_one_category_with_keypoints_is_found_among_others(coco):
    ball = {"id": 7, "name": "ball", "keypoints": []}
    assert learned_categories(
        Coco([], [], [{"id": 3, "name": "dog"}, ball, PERSON]), "keypoints"
    ) == [PERSON]


def test_several_categories_with_keypoints_or_none_are_refused():
    dog = {"id": 2, "name": "dog", "keypoints": ["tail"]}
    with pytest.raises(DataError, match=r"expected one category .* found person, dog"):
        learned_categories(Coco([], [], [PERSON, dog]), "keypoints")
    with pytest.raises(DataError, match=r"expected one category .* found none"):
        learned_categories(Coco([], [], [{"id": 1, "name": "person"}]), "keypoints")


def test_a_published_list_of_images_has_no_annotations(tmp_path, coco):
    content = {"info": {}, **less(vars(coco([1, 2])), "annotations")}
    assert read_published(published(tmp_path / "a.json", content)) == coco([1, 2])


def test_a_published_file_is_read_as_it_is(tmp_path, coco, person):
    write_coco(tmp_path / "a.json", coco([1], [person()]))
    assert read_published(tmp_path / "a.json") == read_coco(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "found other text"),
        (b'{"images"\xff', "found other text"),
        (b"[]", "no list of images"),
        (b'{"images": [], "categories": {}}', "no list of categories"),
        (b'{"images": [1], "categories": []}', "expected an id in all images"),
        (b'{"images": [{}], "categories": []}', "expected an id in all images"),
        (b'{"images": [], "annotations": null, "categories": []}', "no list of annotations"),
    ],
)
def test_a_published_file_that_is_no_coco_is_named(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"{re.escape(str(path))}: .*{message}"):
        read_published(path)
    with pytest.raises(DataError, match=f"{re.escape(str(tmp_path))}: not a readable file"):
        read_published(tmp_path)


@pytest.fixture(scope="module")
def real():
    """The real training annotations of COCO, as we and as pycocotools read them."""
    path = ANNOTATIONS / "person_keypoints_train2017.json"
    if not path.is_file():
        pytest.skip(f"no real COCO annotations at {path}")
    return read_published(path), COCO(str(path))


def test_real_coco_comes_through_as_it_is(real):
    content, theirs = real
    normalized, left_out = normalize(content, *learned_categories(content, "keypoints"))
    kept = {a["id"]: a for a in normalized.annotations}
    assert len(kept) == 628
    assert left_out == 0
    assert sum(a["iscrowd"] for a in kept.values()) == 12
    assert sum(not a["num_keypoints"] for a in kept.values()) == 204
    keys = ("image_id", "bbox", "area", "iscrowd", "keypoints", "num_keypoints")
    for number, annotation in theirs.anns.items():
        assert {key: kept[number][key] for key in keys} == {key: annotation[key] for key in keys}


def test_real_areas_that_are_missing_are_those_of_pycocotools(real):
    content, theirs = real
    bare = Coco(content.images, [less(a, "area") for a in content.annotations], content.categories)
    normalized, _ = normalize(bare, *learned_categories(content, "keypoints"))
    expected = {n: float(masks.area(theirs.annToRLE(a))) for n, a in theirs.anns.items()}
    assert {a["id"]: a["area"] for a in normalized.annotations} == expected
    for crowd in (a for a in content.annotations if a["iscrowd"]):
        assert isinstance(crowd["segmentation"]["counts"], list)


def test_real_images_to_train_on_are_those_that_pycocotools_names(real):
    content = deepcopy(real[0])
    for annotation in content.annotations:
        if annotation["image_id"] % 3 == 0 and not annotation["iscrowd"]:
            annotation |= {"keypoints": [0] * 51, "num_keypoints": 0}
    theirs = COCO()
    theirs.dataset = vars(content)
    theirs.createIndex()
    people = theirs.loadAnns(theirs.getAnnIds(iscrowd=False))
    expected = {a["image_id"] for a in people if a["num_keypoints"] > 0}
    normalized, _ = normalize(content, *learned_categories(content, "keypoints"))
    assert {image["id"] for image in trainable(normalized, "keypoints").images} == expected
    assert 0 < len(expected) < len(content.images)


def test_the_real_list_of_unlabelled_images_is_read():
    path = ANNOTATIONS / "image_info_unlabeled2017.json"
    if not path.is_file():
        pytest.skip(f"no real COCO annotations at {path}")
    normalized, _ = normalize(read_published(path), PERSON)
    assert (len(normalized.images), normalized.annotations) == (60, [])


def test_boxes_of_several_categories_are_normalized_without_keypoints(coco, person):
    boxes = [
        {"id": 1, "image_id": 1, "category_id": 90, "bbox": [1, 2, 3, 4]},
        {"id": 2, "image_id": 1, "category_id": 3, "bbox": [0, 0, 0, 9]},
        {"id": 3, "image_id": 1, "category_id": 55, "bbox": [1, 2, 3, 4]},
        person(number=4),
    ]
    content = coco([1], boxes)
    named = [{"id": 90, "name": "brush"}, {"id": 3, "name": "car"}, {"id": 55, "name": "cake"}]
    content = Coco(content.images, content.annotations, [*named, PERSON])
    wanted = learned_categories(Coco([], [], [named[0], PERSON, named[1]]), "boxes")
    assert wanted == [{"id": 1, "name": "person"}, named[1], named[0]]
    normalized, flat = normalize(content, *wanted)
    assert flat == 1
    assert normalized.categories == wanted
    assert [a["id"] for a in normalized.annotations] == [1, 4]
    assert normalized.annotations[0] == {**boxes[0], "area": 12.0, "iscrowd": 0}
    assert "keypoints" not in normalized.annotations[1]


def test_another_meaning_of_one_of_several_categories_is_an_error(coco, person):
    content = coco([1], [person()])
    with pytest.raises(DataError, match="category 3: expected 'car' as in val, found no such id"):
        normalize(content, PERSON, {"id": 3, "name": "car"})


@pytest.mark.parametrize("categories", [[], [{"id": 1}], [{"id": "1", "name": "car"}]])
def test_categories_of_boxes_need_an_id_and_a_name(categories):
    with pytest.raises(DataError, match="expected categories with a number as their id and a name"):
        learned_categories(Coco([], [], categories), "boxes")


def namesakes(content):
    content.categories.append({"id": 2, "name": "person"})
    content.annotations.append({**content.annotations[0], "id": 2, "category_id": 2})


def unnamed(content):
    content.categories.append({"id": 2})


def numbered(content):
    content.categories.append({"id": 2, "name": 3})


def one_id(content):
    content.categories.append({"id": 1, "name": "car"})


def nameless(content):
    del content.images[0]["file_name"]


FAULTS = {
    namesakes: "expected a name of its own for every category, found ['person', 'person']",
    unnamed: "expected a name of its own for every category, found ['person', None]",
    numbered: "expected a name of its own for every category, found ['person', 3]",
    one_id: "expected an id of its own for every category, found [1, 1]",
    nameless: "images [1] have no file_name",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_cannot_be_told_apart_is_named(tmp_path, coco, person, fault):
    content = coco([1], [person()])
    fault(content)
    write_coco(tmp_path / "a.json", content)
    with pytest.raises(DataError, match=re.escape(f"a.json: {FAULTS[fault]}")):
        read_foreign(tmp_path / "a.json")


@pytest.mark.parametrize(("ids", "what"), [([], "images"), ([1], "annotations")])
def test_labels_of_nothing_are_none(tmp_path, coco, ids, what):
    write_coco(tmp_path / "a.json", coco(ids))
    with pytest.raises(DataError, match=f"expected {what}, found none"):
        read_labels(tmp_path / "a.json")


def test_a_file_that_windows_wrote_is_read(tmp_path, coco, person):
    content = coco([1], [person()])
    write_coco(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(text, encoding="utf-8-sig")
    assert read_labels(tmp_path / "a.json") == content


@pytest.mark.parametrize(
    ("crowd", "expected"),
    [("False", 0), ("0", 0), (False, 0), (0.0, 0), ("True", 1), ("1", 1), (True, 1), (1.0, 1)],
)
def test_a_crowd_may_be_written_as_text_or_as_a_truth_value(coco, person, crowd, expected):
    (normalized,) = normalize(coco([1], [person(iscrowd=crowd)]), PERSON)[0].annotations
    assert (normalized["iscrowd"], type(normalized["iscrowd"])) == (expected, int)


@pytest.mark.parametrize("value", [float("nan"), None])
@pytest.mark.parametrize("visible", [0, None, float("nan")])
def test_a_keypoint_without_coordinates_is_not_marked(coco, person, value, visible):
    content = coco([1], [person(keypoints=[5, 6, 2, *[value, value, visible] * 16])])
    (normalized,) = normalize(content, PERSON)[0].annotations
    assert normalized["keypoints"] == [5, 6, 2, *[0] * 48]
    assert normalized["num_keypoints"] == 1


@pytest.mark.parametrize("bbox", [None, [], [5, 6, 0, 0], [5, 6, 3, -1]])
def test_an_animal_without_a_box_has_that_of_its_keypoints(coco, person, caplog, tmp_path, bbox):
    points = [15, 12, 2, 20, 18, 1, 0, 0, 0, *[0] * 42]
    bare = [person(1, number, bbox=bbox, keypoints=points, area=0) for number in (1, 2)]
    normalized, left_out = normalize(coco([1], bare), PERSON, source=tmp_path)
    assert left_out == 0
    # a margin of 10 pixels, clipped at the image's 40 x 30
    assert [a["bbox"] for a in normalized.annotations] == [[5, 2, 25, 26]] * 2
    assert [a["area"] for a in normalized.annotations] == [650] * 2
    text = f"{tmp_path}: 2 annotations have no box; theirs is the extent of the keypoints with a"
    assert text in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {"area": 0},
        {"area": "large"},
        {"area": float("nan")},
        {"area": None, "segmentation": [[1, 2, 3]]},
        {"area": None, "segmentation": {"size": [30, 40]}},
        {"area": None, "segmentation": "mask.png"},
        {"area": None, "segmentation": [[float("nan")] * 6]},
        {"area": None, "segmentation": [[1e30] * 6]},
        {"area": 0, "segmentation": {"size": [30, 40], "counts": "PPYo"}},
    ],
)
def test_an_area_or_a_mask_of_no_use_gives_way_to_the_box(coco, person, caplog, tmp_path, changes):
    content = coco([1], [person(1, number, **changes) for number in (6, 7)])
    normalized, _ = normalize(content, PERSON, source=tmp_path)
    assert [a["area"] for a in normalized.annotations] == [200.0] * 2
    assert caplog.text.count(f"{tmp_path}: 2 annotations have an area or a segmentation") == 1


def test_clean_annotations_cause_no_note(coco, person, caplog):
    normalize(coco([1], [person(), less(person(1, 2), "area")]), PERSON)
    assert not caplog.records


@pytest.mark.parametrize("far", [1e12, -1e12, 10**80])
def test_coordinates_far_beyond_any_image_are_refused(coco, person, far):
    content = coco([1], [person(bbox=[1.0, 2.0, 3.0, far])])
    with pytest.raises(DataError, match=r"annotation 1: expected bbox"):
        normalize(content, PERSON)
    content = coco([1], [person(keypoints=[far, 6.0, 2] * 17)])
    with pytest.raises(DataError, match=r"annotation 1: expected 51 numbers"):
        normalize(content, PERSON)
    content = coco([1], [])
    content.images[0]["width"] = 10**80
    with pytest.raises(DataError, match="width and height in pixels"):
        normalize(content, PERSON)
