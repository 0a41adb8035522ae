import cv2
import numpy as np
import pytest

from datastill.coco.format import PERSON, PERSON_KEYPOINTS, Coco
from datastill.coco.metadata import Metadata, build_metadata
from datastill.images.contact_sheet import CELL, contact_sheet, write_png

METADATA = build_metadata(Coco([], [], [PERSON]), "keypoints")
GREY = np.full((120, 160, 3), 100, np.uint8)


def standing(visibility):
    """A person in the middle of a 160 x 120 image with one keypoint that counts, the left wrist."""
    points = np.zeros((17, 3))
    points[PERSON_KEYPOINTS.index("left_wrist")] = (80, 60, visibility)
    return {"bbox": [60.0, 30.0, 40.0, 60.0], "keypoints": points.ravel().tolist()}


def sheet(annotation):
    return contact_sheet([GREY], [[annotation]], METADATA, columns=1)


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (3, 1), (4, 2), (7, 3)])
def test_images_are_tiled_row_by_row(count, rows):
    tiled = contact_sheet([GREY] * count, [[]] * count, METADATA, columns=3)
    assert tiled.shape == (rows * CELL[1], 3 * CELL[0], 3)


def test_no_images_make_an_empty_sheet():
    assert (contact_sheet([], [], METADATA) == 255).all()


def test_images_keep_their_aspect_and_their_pixels():
    tall = np.zeros((240, 60, 3), np.uint8)
    tiled = contact_sheet([tall], [[]], METADATA, columns=1)
    assert (tiled[:, :60] == 0).all()
    assert (tiled[:, 60:] == 255).all()
    assert (tall == 0).all()


def test_images_without_annotations_of_their_own_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        contact_sheet([GREY, GREY], [[]], METADATA)


def test_boxes_are_drawn_where_they_are():
    drawn = sheet(standing(0))
    assert tuple(drawn[120, 120]) != tuple(drawn[120, 110])  # the left edge at 60 * 2


def test_a_visible_keypoint_is_filled_a_hidden_one_a_ring_an_absent_one_nothing():
    seen, hidden, absent = (sheet(standing(v)) for v in (2, 1, 0))
    assert tuple(seen[120, 160]) == (255, 96, 48)
    assert tuple(hidden[120, 160]) == tuple(absent[120, 160]) == (100, 100, 100)
    assert tuple(hidden[120, 163]) != (100, 100, 100)
    assert tuple(absent[120, 163]) == (100, 100, 100)


def test_left_and_right_limbs_differ_in_colour():
    points = np.zeros((17, 3))
    points[PERSON_KEYPOINTS.index("right_wrist")] = (80, 60, 2)
    right = {"bbox": [60.0, 30.0, 40.0, 60.0], "keypoints": points.ravel().tolist()}
    assert tuple(sheet(right)[120, 160]) != tuple(sheet(standing(2))[120, 160])


def test_a_score_is_written_and_boxes_without_keypoints_are_fine():
    plain = {"bbox": [60.0, 30.0, 40.0, 60.0]}
    assert not np.array_equal(sheet(plain | {"score": 0.87}), sheet(plain))


def test_a_png_is_written_whole_with_its_colours(tmp_path):
    path = tmp_path / "new" / "sheet.png"
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 200
    write_png(path, image)
    assert np.array_equal(cv2.imread(str(path))[..., ::-1], image)
    assert [file.name for file in path.parent.iterdir()] == ["sheet.png"]


def test_boxes_are_named_and_coloured_by_their_category():
    image = np.zeros((240, 320, 3), np.uint8)
    boxes = [
        {"bbox": [10, 40, 60, 60], "category_id": 44, "score": 0.5},
        {"bbox": [150, 40, 60, 60], "category_id": 90, "score": 0.5},
    ]
    named = ({"id": 44, "name": "bottle"}, {"id": 90, "name": "brush"})
    sheet, plain = (contact_sheet([image], [boxes], Metadata(c), columns=1) for c in (named, ()))
    colours = [{tuple(sheet[70, x]) for x in (left, left + 60)} for left in (10, 150)]
    assert colours[0] != colours[1], "each category has its own"
    assert sheet[42:55, 12:100].any(axis=2).sum() > plain[42:55, 12:100].any(axis=2).sum()
