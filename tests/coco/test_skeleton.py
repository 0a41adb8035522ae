import pytest
from pycocotools.cocoeval import Params

from datastill.coco.format import PERSON, PERSON_KEYPOINTS
from datastill.coco.skeleton import Skeleton, build_skeleton, infer_flip_indices
from datastill.errors import DataError

HAND = {"id": 4, "name": "hand", "keypoints": ["wrist", "thumb", "index", "ring", "little"]}
GLASSES = {"id": 1, "name": "glasses", "keypoints": ["bridge", "hinge_l", "hinge_r"]}


def test_a_persons_sigmas_are_those_of_pycocotools():
    person = build_skeleton([PERSON])
    assert person.sigmas == tuple(Params("keypoints").kpt_oks_sigmas)
    assert person.sigmas_from == "coco"
    assert person.flip_indices == infer_flip_indices(person.names)
    assert [list(edge) for edge in person.edges] == PERSON["skeleton"]


def test_other_keypoints_without_sigmas_all_have_the_median_of_cocos():
    hand = build_skeleton([HAND])
    assert hand.sigmas == (0.072,) * 5
    assert hand.oks() == {"sigmas": [0.072] * 5, "from": "constant"}


@pytest.mark.parametrize("category", [HAND, {**PERSON, "keypoints": PERSON["keypoints"][:5]}])
def test_what_the_file_gives_goes_before_what_names_say(category):
    given = {**category, "skeleton": [], "sigmas": [0.1, 0.2, 0.3, 0.4, 1], "flip_pairs": []}
    found = build_skeleton([given])
    assert found.sigmas == (0.1, 0.2, 0.3, 0.4, 1.0)
    assert found.sigmas_from == "given"
    assert found.flip_indices == (0, 1, 2, 3, 4)


def test_names_without_a_side_map_to_themselves():
    assert build_skeleton([HAND]).flip_indices == (0, 1, 2, 3, 4)
    assert not build_skeleton([HAND]).left


def test_the_left_one_of_a_pair_is_known_however_its_side_is_written():
    dog = {"id": 1, "name": "dog", "keypoints": ["R_Eye", "L_Eye", "Left Paw", "Right Paw", "l"]}
    assert build_skeleton([dog]).left == {1, 2}


def test_partners_given_by_name_change_places_the_first_being_left():
    glasses = build_skeleton([{**GLASSES, "flip_pairs": [["hinge_r", "hinge_l"]]}])
    assert glasses.flip_indices == (0, 2, 1)
    assert glasses.left == {2}


def test_plain_detection_has_an_empty_skeleton():
    assert build_skeleton([{"id": 1, "name": "car"}, {"id": 2, "name": "dog"}]) == Skeleton()
    assert len(Skeleton()) == 0


def test_the_category_with_keypoints_may_stand_anywhere():
    assert build_skeleton([{"id": 1, "name": "car"}, HAND]).names == tuple(HAND["keypoints"])


def test_several_categories_with_keypoints_are_refused_with_what_to_do():
    with pytest.raises(DataError, match=r"found person, hand: .* a file and a profile for each"):
        build_skeleton([PERSON, HAND])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": "wrist"}, "keypoints as a list of names, found 'wrist'"),
        ({"keypoints": ["a", 3]}, "keypoints as a list of names"),
        ({"keypoints": ["a", "b", "a"]}, "'a' is named twice"),
        ({"keypoints": ["left_thumb"]}, "'left_thumb' has no mirror partner.*flip_pairs"),
        ({"flip_pairs": [["wrist", "elbow"]]}, r"pairs of keypoints of .*found \['wrist', 'elb"),
        ({"flip_pairs": ["wrist"]}, "flip_pairs: expected pairs of keypoints"),
        ({"flip_pairs": "wrist"}, "flip_pairs: expected pairs of keypoints"),
        ({"flip_pairs": [[1, 2]]}, "flip_pairs: expected pairs of keypoints"),
        ({"flip_pairs": [[["wrist"], {}]]}, "flip_pairs: expected pairs of keypoints"),
        ({"flip_pairs": [["wrist", "wrist"]]}, "every keypoint in one pair"),
        ({"flip_pairs": [["wrist", "ring"], ["ring", "thumb"]]}, "every keypoint in one pair"),
        ({"sigmas": [0.1, 0.1]}, "sigmas: expected 5 numbers above 0"),
        ({"sigmas": [0.1, 0.1, 0.1, 0.1, 0]}, "sigmas: expected 5 numbers above 0"),
        ({"sigmas": [0.1, 0.1, 0.1, 0.1, "1"]}, "sigmas: expected 5 numbers above 0"),
        ({"skeleton": [[0, 1]]}, r"skeleton: expected pairs from 1 to 5, found \[0, 1\]"),
        ({"skeleton": [[1, 2, 3]]}, "skeleton: expected pairs from 1 to 5"),
        ({"skeleton": [7]}, "skeleton: expected pairs from 1 to 5"),
        ({"skeleton": 7}, r"skeleton: expected pairs from 1 to 5, found \[7\]"),
    ],
)
def test_a_malformed_skeleton_is_named_with_its_category(change, message):
    with pytest.raises(DataError, match=f"category 'hand': .*{message}"):
        build_skeleton([{**HAND, **change}])


def test_in_a_mirror_the_sides_of_a_person_change():
    flip_indices = infer_flip_indices(PERSON_KEYPOINTS)
    assert flip_indices == (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)


@pytest.mark.parametrize(
    ("names", "flip_indices"),
    [
        (("right_paw", "tail", "eye", "left_paw"), (3, 1, 2, 0)),
        (("eye_left", "eye_right"), (1, 0)),
        (("paw_left_front", "paw_left_back", "paw_right_back", "paw_right_front"), (3, 2, 1, 0)),
        (("Left Eye", "Nose", "Right Eye"), (2, 1, 0)),
        (("LeftElbow", "RightElbow", "RIGHT_HIP", "LEFT_HIP"), (1, 0, 3, 2)),
        (("L_Eye", "R_Eye", "hinge_r", "hinge_l"), (1, 0, 3, 2)),
        (("r", "tail", "ear.l", "L1", "R1"), (0, 1, 2, 3, 4)),
        ((), ()),
    ],
)
def test_partners_are_found_by_name_wherever_they_stand(names, flip_indices):
    assert infer_flip_indices(names) == flip_indices


@pytest.mark.parametrize(("name", "partner"), [("left_eye", "right_eye"), ("r_right", "r_left")])
def test_a_side_without_the_other_is_named(name, partner):
    with pytest.raises(DataError, match=f"'{name}' has no mirror partner '{partner}'"):
        infer_flip_indices(("nose", name))
