import pytest

from datastill.coco.lint import lint


def points(*marked):
    """17 keypoints, the first of them these (x, y, v)."""
    flat = [value for point in marked for value in point]
    return {
        "keypoints": flat + [0] * (51 - len(flat)),
        "num_keypoints": sum(v > 0 for _, _, v in marked),
    }


def test_a_sound_set_has_no_faults(coco, person):
    bare = points()
    assert lint(coco([1, 2, 3], [person(1, 1), person(2, 2), person(2, 3, **bare)])) == []
    assert lint(coco([])) == []


@pytest.mark.parametrize(
    "bbox",
    [
        [-1.01, 5, 10, 10],
        [5, -1.01, 10, 10],
        [31.01, 5, 10, 10],
        [5, 21.01, 10, 10],
        [0, 0, 40, 99],
    ],
)
def test_a_box_outside_its_image_by_more_than_a_pixel_is_named(coco, person, bbox):
    content = coco([1, 2], [person(1, 1), person(2, 7, bbox=bbox), person(2, 8, bbox=bbox)])
    assert lint(content) == ["2 annotations have boxes outside their image, such as 7 on image 2"]


@pytest.mark.parametrize(
    "bbox", [[0, 0, 40, 30], [-1, -1, 42, 32], [31, 21, 10, 10], [-0.99, 5, 10, 10]]
)
def test_a_box_that_passes_the_border_by_a_pixel_is_inside(coco, person, bbox):
    assert lint(coco([1], [person(bbox=bbox)])) == []


@pytest.mark.parametrize("point", [(-1.01, 5), (5, -1.01), (41.01, 5), (5, 31.01), (900, 900)])
@pytest.mark.parametrize("visible", [1, 2])
def test_a_marked_keypoint_outside_its_image_is_named(coco, person, point, visible):
    outside = points((9, 9, 2), (*point, visible))
    content = coco([1, 2], [person(1, 1), person(2, 7, **outside)])
    assert lint(content) == [
        "1 annotations have keypoints outside their image, such as 7 on image 2"
    ]


@pytest.mark.parametrize(
    "marked", [[(0, 0, 2)], [(40, 30, 1)], [(-1, -1, 2), (41, 31, 2)], [(9, 9, 2), (900, -900, 0)]]
)
def test_keypoints_on_the_border_and_those_not_marked_are_inside(coco, person, marked):
    assert lint(coco([1], [person(**points(*marked))])) == []


def test_an_annotation_is_held_against_its_own_image(coco, person):
    content = coco([1, 2], [person(2, 7, bbox=[0, 0, 60, 50])])
    content.images[1] |= {"width": 60, "height": 50}
    assert lint(content) == []
    content.images[0] |= {"width": 60, "height": 50}
    content.images[1] |= {"width": 40}
    assert len(lint(content)) == 1
