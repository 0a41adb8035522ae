import json
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from pycocotools import mask
from pycocotools.coco import COCO

from datastill.coco.format import PERSON, PERSON_KEYPOINTS
from datastill.errors import DataError
from datastill.synthetic import box_scenes, keypoint_scenes
from datastill.synthetic.drawing import visibility
from datastill.synthetic.drawing.bodies import Build, Placement, pose_body
from datastill.synthetic.drawing.clothed_body import clothed_body
from datastill.synthetic.drawing.outfits import everyday_outfit
from datastill.synthetic.drawing.poses import everyday_motion, pose_at, sport_motion
from datastill.synthetic.drawing.raster import stamp
from datastill.synthetic.drawing.visibility import annotate
from datastill.synthetic.keypoint_scenes import STYLES, draw_people, quota

SIZE = (320, 240)
COUNT = 200
SIDES = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


@pytest.fixture(scope="module")
def drawings():
    return {
        style: [draw_people("a set", i, 7, style, SIZE) for i in range(COUNT)] for style in STYLES
    }


@pytest.fixture(scope="module")
def everybody(drawings):
    return [a for each in drawings.values() for d in each for a in d.annotations]


def areas(drawings, style):
    return np.array([a["area"] for d in drawings[style] for a in d.annotations])


def someone(yaw, pose=None):
    """A body that stands upright in the middle of a 240 x 240 picture, and its annotation."""
    pose = np.zeros(22) if pose is None else pose
    body = pose_body(pose, Build(1, 1, 1, 1, 1), Placement(120, 230, 200, yaw, 0.05))
    stencil = np.zeros((240, 240), np.uint8)
    stamp(stencil, clothed_body(body, everyday_outfit(np.random.default_rng(0))))
    annotation = annotate(stencil, 0, 1, body)
    points = np.reshape(annotation["keypoints"], (17, 3))
    return dict(zip(PERSON_KEYPOINTS, points, strict=True))


def same(first, second):
    return np.array_equal(first.image, second.image) and first.annotations == second.annotations


@pytest.mark.parametrize("style", STYLES)
def test_a_picture_follows_from_its_name_index_and_seed_whatever_was_drawn_before(style):
    forward = [draw_people("a", i, 0, style, (128, 96)) for i in range(6)]
    with ThreadPoolExecutor(3) as pool:
        backward = list(
            pool.map(lambda i: draw_people("a", i, 0, style, (128, 96)), reversed(range(6)))
        )
    assert all(map(same, forward, reversed(backward)))


@pytest.mark.parametrize("other", [("b", 0, 0), ("a", 1, 0), ("a", 0, 1)])
def test_another_name_index_or_seed_is_another_picture(other):
    assert not same(
        draw_people("a", 0, 0, "everyday", SIZE),
        draw_people(*other, "everyday", SIZE),
    )


@pytest.mark.parametrize("size", [(128, 96), (320, 240), (240, 320)])
@pytest.mark.parametrize("style", STYLES)
def test_a_picture_has_the_size_asked_for(style, size):
    image = draw_people("a", 0, 0, style, size).image
    assert image.shape == (size[1], size[0], 3)
    assert image.dtype == np.uint8


def test_an_unknown_style_is_refused():
    with pytest.raises(DataError, match="everyday, sport"):
        draw_people("a", 0, 0, "baroque", SIZE)


@pytest.mark.parametrize("joint", ["eye", "ear", *SIDES])
def test_left_is_at_the_images_right_from_the_front_and_at_its_left_from_behind(joint):
    front, behind = someone(0.0), someone(np.pi)
    assert front[f"left_{joint}"][0] > front[f"right_{joint}"][0] + 3
    assert behind[f"left_{joint}"][0] < behind[f"right_{joint}"][0] - 3


def test_the_face_is_visible_from_the_front_and_hidden_from_behind_by_the_own_head():
    front, behind = someone(0.0), someone(np.pi)
    assert all(front[name][2] == 2 for name in ("nose", "left_eye", "right_eye"))
    assert all(behind[name][2] == 1 for name in ("nose", "left_eye", "right_eye"))
    assert behind["left_ear"][2] == behind["right_ear"][2] == 2


def test_from_the_side_the_far_half_of_the_face_and_the_far_shoulder_are_hidden():
    right_facing = someone(np.pi / 2)  # shows the right half of the body
    assert right_facing["nose"][0] > right_facing["right_ear"][0]
    assert all(right_facing[f"left_{joint}"][2] == 1 for joint in ("eye", "ear", "shoulder", "hip"))
    assert all(right_facing[f"right_{joint}"][2] == 2 for joint in ("eye", "ear", "shoulder"))


def test_a_hand_held_before_the_chest_is_hidden_from_behind():
    pose = np.zeros(22)
    pose[6:10] = (20, 5, 100, 60)
    assert someone(0.0, pose)["left_wrist"][2] == 2
    assert someone(np.pi, pose)["left_wrist"][2] == 1


def test_joints_are_on_their_person(drawings):
    for drawing in drawings["everyday"]:
        for annotation in drawing.annotations:
            left, top, width, height = annotation["bbox"]
            points = np.reshape(annotation["keypoints"], (17, 3))
            seen = points[points[:, 2] == 2][:, :2]
            assert (
                (seen >= (left - 2, top - 2)) & (seen <= (left + width + 2, top + height + 2))
            ).all()


def test_visibility_follows_coco(everybody):
    for annotation in everybody:
        points = np.reshape(annotation["keypoints"], (17, 3))
        outside, inside = points[points[:, 2] == 0], points[points[:, 2] > 0]
        assert (outside == 0).all()
        assert ((inside[:, :2] >= 0) & (inside[:, :2] < SIZE)).all()
        assert annotation["num_keypoints"] == len(inside) >= 3
    assert {0, 1, 2} == {v for a in everybody for v in a["keypoints"][2::3]}


def test_boxes_stay_in_the_image_and_hold_the_mask(everybody):
    for annotation in everybody:
        left, top, width, height = annotation["bbox"]
        assert left >= 0
        assert top >= 0
        assert left + width <= SIZE[0]
        assert top + height <= SIZE[1]
        assert annotation["area"] <= width * height


def test_nobody_is_smaller_than_cocos_medium(everybody):
    assert min(annotation["area"] for annotation in everybody) >= 32**2


def test_the_polygons_enclose_the_area(everybody):
    for annotation in everybody:
        runs = mask.frPyObjects(annotation["segmentation"], SIZE[1], SIZE[0])
        # A polygon runs through the centres of border pixels: pycocotools leaves about half out.
        border = sum(len(polygon) for polygon in annotation["segmentation"])
        gap = annotation["area"] - mask.area(mask.merge(runs))
        assert abs(gap) <= 0.12 * annotation["area"] + border


def test_pycocotools_reads_a_file_of_drawings(drawings, tmp_path):
    images, annotations = [], []
    for image_id, drawing in enumerate(drawings["everyday"]):
        images.append({"id": image_id, "file_name": "", "width": SIZE[0], "height": SIZE[1]})
        for annotation in drawing.annotations:
            annotations.append(annotation | {"id": len(annotations) + 1, "image_id": image_id})
    path = tmp_path / "set.json"
    content = {"images": images, "annotations": annotations, "categories": [PERSON]}
    path.write_text(json.dumps(content))
    coco = COCO(str(path))
    assert len(coco.getAnnIds(catIds=[1], iscrowd=False)) == len(annotations)
    first = coco.loadAnns(annotations[0]["id"])[0]
    assert coco.annToMask(first).shape == (SIZE[1], SIZE[0])


def test_as_many_everyday_pictures_show_people_as_in_coco(drawings):
    counts = np.array([len(drawing.annotations) for drawing in drawings["everyday"]])
    assert 0.46 < (counts > 0).mean() < 0.62  # COCO: 64,115 of 118,287
    assert 1.7 < counts[counts > 0].mean() < 2.3
    assert counts.max() == 4


def test_everyday_people_fall_on_both_sides_of_cocos_border_of_large(drawings):
    assert 0.3 < (areas(drawings, "everyday") > 96**2).mean() < 0.55


def runs(shares, name="a set", seed=7):
    """The numbers of people of every run of 60 scenes of a set, (runs, 60)."""
    counts = [quota(name, index, seed, shares) for index in range(300)]
    return np.lib.stride_tricks.sliding_window_view(counts, 60)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shares", [*(s.people for s in STYLES.values()), box_scenes._PEOPLE])
def test_any_run_of_scenes_has_people_by_quota(shares, seed):
    """Drawn by chance, the mean of 60 would be off by 0.3 now and then."""
    counted = runs(shares, seed=seed)
    for people, share in enumerate(shares):
        assert np.abs((counted == people).mean(axis=1) - share).max() <= 2.1 / 60
    expected = np.dot(np.arange(len(shares)), shares)
    assert np.abs(counted.mean(axis=1) - expected).max() < 0.12
    assert np.abs(counted[0].mean() - expected) < 0.1
    assert counted.max() == len(shares) - 1


def test_a_quota_begins_elsewhere_in_each_set_and_with_each_seed():
    shares = STYLES["everyday"].people
    sets = [runs(shares)[0], runs(shares, name="other")[0], runs(shares, seed=8)[0]]
    assert len({tuple(counts) for counts in sets}) == 3


def test_a_scene_never_has_more_people_than_its_quota(drawings):
    """Fewer are annotated where some hide others or stand outside."""
    for style, drawn in drawings.items():
        asked = [quota("a set", index, 7, STYLES[style].people) for index in range(COUNT)]
        found = [len(drawing.annotations) for drawing in drawn]
        assert all(few <= many for few, many in zip(found, asked, strict=True))
        assert sum(found) > 0.85 * sum(asked)


def test_sport_shows_people_more_often_who_mostly_fit_into_a_picture_of_less_detail(drawings):
    def detail(style):
        greys = [cv2.cvtColor(d.image, cv2.COLOR_RGB2GRAY) for d in drawings[style][:60]]
        return np.mean([cv2.Laplacian(grey, cv2.CV_64F).var() for grey in greys])

    with_people = np.mean([bool(drawing.annotations) for drawing in drawings["sport"]])
    assert with_people == pytest.approx(1 - STYLES["sport"].people[0], abs=0.02)
    heights = np.array([a["bbox"][3] for d in drawings["sport"] for a in d.annotations])
    assert 0.7 < np.median(heights) / SIZE[1] < 0.9
    assert (heights >= SIZE[1] - 1).mean() < 0.1
    assert detail("sport") < 0.8 * detail("everyday")


def test_half_of_the_players_move_and_an_everyday_pose_keeps_still():
    rng = np.random.default_rng(0)

    def moved(motion):
        return np.abs(pose_at(motion, 0.1) - pose_at(motion, 0.9)).max()

    players = np.array([moved(sport_motion(rng)) for _ in range(400)])
    assert 0.42 < (players > 10).mean() < 0.58
    assert 0.42 < (players == 0).mean() < 0.58
    assert not any(moved(everyday_motion(rng)) for _ in range(100))


def test_people_too_hidden_to_be_annotated_are_not_drawn(monkeypatch):
    monkeypatch.setattr(keypoint_scenes, "visible_enough", lambda *_: [])
    nobody = draw_people("a", 3, 0, "everyday", SIZE)
    monkeypatch.undo()
    monkeypatch.setattr(visibility, "visible_area", lambda *_: 0)
    assert same(draw_people("a", 3, 0, "everyday", SIZE), nobody)
