import pytest

from datastill.coco.subsets import subset, trainable, union
from datastill.errors import DataError


def test_what_is_taken_out_takes_its_annotations_along(coco, person):
    people = [person(1, 1), person(2, 2), person(2, 3), person(3, 4)]
    content = coco([3, 1, 2], people)
    assert subset(content, content.images[:2]) == coco([3, 1], [people[0], people[3]])
    assert subset(content, content.images) == content
    assert subset(content, content.images[2:]) == coco([2], people[1:3])
    assert subset(content, []) == coco([])


def test_a_union_has_everything_of_its_parts(coco, person):
    one, other = coco([1, 2], [person(2)]), coco([3], [person(3, 2)])
    assert union([one, other]) == coco([1, 2, 3], [person(2), person(3, 2)])
    assert union([one]) == one
    assert len(one.images) == 2


def test_parts_of_a_union_that_share_ids_are_refused(coco, person):
    with pytest.raises(DataError, match="two images of a union have the id 2"):
        union([coco([1, 2]), coco([2, 3])])
    with pytest.raises(DataError, match="two annotations of a union have the id 5"):
        union([coco([1], [person(1, 5)]), coco([2], [person(2, 5)])])
    twice = coco([1], [person(1, 5), person(1, 5)])
    assert union([twice, coco([2])]).annotations == twice.annotations, "no fault of the union"


def test_only_images_with_an_annotated_keypoint_are_kept_with_all_their_annotations(coco, person):
    bare = {"keypoints": [0] * 51, "num_keypoints": 0}
    annotations = [
        person(1, 1),
        person(2, 2, **bare),
        person(3, 3, iscrowd=1),
        person(4, 4, **bare),
        person(4, 5),
        person(4, 6, iscrowd=1),
    ]
    kept = trainable(coco([4, 1, 2, 3, 5], annotations), "keypoints")
    assert kept == coco([4, 1], [annotations[i] for i in (0, 3, 4, 5)])


def test_boxes_are_learned_from_images_with_an_object_that_is_no_crowd(coco, person):
    bare = {"keypoints": [0] * 51, "num_keypoints": 0}
    content = coco([1, 2, 3], [person(1, 1, **bare), person(2, 2, iscrowd=1), person(1, 3)])
    kept = trainable(content, "boxes")
    assert [image["id"] for image in kept.images] == [1]
    assert len(kept.annotations) == 2


def test_with_negatives_images_without_any_annotation_are_background(coco, person):
    bare = person(2, 2, keypoints=[0] * 51, num_keypoints=0)
    content = coco([1, 2, 3, 4], [person(1, 1), bare, person(3, 3, iscrowd=1)])
    kept = trainable(content, "keypoints", negatives="keep")
    assert [image["id"] for image in kept.images] == [1, 4], "people are no background"
