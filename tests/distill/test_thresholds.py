import numpy as np
import pytest

from datastill.coco.format import PERSON, Coco
from datastill.distill.thresholds import (
    Density,
    Rules,
    Selection,
    Threshold,
    keypoint_density,
    matching_threshold,
    select,
)
from datastill.errors import DataError

BOX = [0, 0, 10, 10]


def person(image_id, box, area, marked, iscrowd=0):
    return {
        "image_id": image_id,
        "category_id": 1,
        "bbox": box,
        "area": area,
        "iscrowd": iscrowd,
        "keypoints": [1, 1, 2] * marked + [0, 0, 0] * (17 - marked),
        "num_keypoints": marked,
    }


def wanted(instances, keypoints, shares=(0.5, 0.5)):
    return Density({1: instances}, {1: 0.5}, keypoints, shares)


@pytest.mark.parametrize("wanted", [1, 137, 999, 1000])
def test_without_ties_exactly_as_many_are_kept_as_wanted(wanted):
    scores = np.random.default_rng(0).permutation(1000) / 1000
    threshold = matching_threshold(scores, wanted)
    assert threshold == Threshold((1000 - wanted) / 1000, wanted, wanted, exhausted=False)
    assert (scores >= threshold.value).sum() == wanted


def test_scores_that_tie_at_the_threshold_are_all_kept():
    scores = np.array([0.2, 0.5, 0.9, 0.5, 0.5, 0.1])
    for wanted in (2, 3, 4):
        assert matching_threshold(scores, wanted) == Threshold(0.5, wanted, 4, exhausted=False)
    assert matching_threshold(scores, 1) == Threshold(0.9, 1, 1, exhausted=False)
    assert matching_threshold(scores, 5) == Threshold(0.2, 5, 5, exhausted=False)


def test_too_few_predictions_are_all_kept_and_said_to_be_too_few():
    scores = np.array([0.3, 0.05, 0.7])
    assert matching_threshold(scores, 4) == Threshold(0.05, 4, 3, exhausted=True)
    assert not matching_threshold(scores, 3).exhausted


def test_the_scores_stay_as_they_were():
    scores = np.random.default_rng(0).random(50)
    before = scores.copy()
    matching_threshold(scores, 20)
    assert (scores == before).all()


@pytest.mark.parametrize(
    ("scores", "wanted", "message"),
    [
        ([], 5, "choose 5 of 0"),
        ([0.5, 0.6, 0.7], 0, "choose 0 of 3"),
        ([0.5], -1, "choose -1 of 1"),
        ([], 0, "choose 0 of 0"),
    ],
)
def test_nothing_to_choose_or_to_choose_from_is_an_error_with_both_counts(scores, wanted, message):
    with pytest.raises(DataError, match=message):
        matching_threshold(np.array(scores), wanted)


def test_density_counts_people_with_keypoints_who_are_no_crowd(listed):
    labelled = Coco(
        listed(4),
        [
            person(100, [0, 0, 10, 20], 100, 10),
            person(100, [5, 5, 10, 10], 80, 5),
            person(101, [0, 0, 40, 30], 1200, 17, iscrowd=1),
            person(102, [0, 0, 5, 5], 25, 0),
        ],
        [PERSON],
    )
    shares = (1.0,) * 5 + (0.5,) * 5 + (0.0,) * 7
    assert keypoint_density(labelled) == Density(
        {1: 2 / 4}, {1: pytest.approx((0.5 + 0.8) / 2)}, 7.5, shares
    )


@pytest.mark.parametrize(
    "annotations",
    [[], [person(100, [0, 0, 5, 5], 25, 0)], [person(100, [0, 0, 5, 5], 25, 9, iscrowd=1)]],
)
def test_a_set_without_people_to_count_is_an_error(annotations, listed):
    with pytest.raises(DataError, match="no instance with keypoints"):
        keypoint_density(Coco(listed(2), annotations, [PERSON]))


def test_a_hidden_keypoint_is_a_marked_one(listed):
    someone = person(100, BOX, 50, 2)
    someone["keypoints"][2] = 1
    assert keypoint_density(Coco(listed(1), [someone], [PERSON])).keypoint_shares[:3] == (1, 1, 0)


@pytest.fixture
def five(table, in_memory):
    """Five candidates on four images, two keypoints each, in two tables and an empty one."""
    rows = [
        (100, 0.9, BOX, [0.9, 0.1], [12, 3]),
        (100, 0.2, BOX, [0.99, 0.98], [18, 18]),
        (101, 0.6, BOX, [0.5, 0.4], [9, 9]),
        (103, 0.7, BOX, [0.3, 0.8], [2, 17]),
        (103, 0.5, BOX, [0.97, 0.96], [16, 16]),
    ]
    return in_memory(table(rows[:2]), table(rows[:1]).slice(0, 0), table(rows[2:]))


def test_instances_match_per_image_and_keypoints_per_kept_instance(five):
    # 0.75 * 4 images are 3 instances: 0.9, 0.7, 0.6; 4 / 3 * 3 are 4 of their 6 keypoints.
    assert select(five, 4, wanted(0.75, 4 / 3), Rules()) == Selection(
        Threshold(0.6, 3, 3, exhausted=False), Threshold(0.4, 4, 4, exhausted=False)
    )


def test_a_prior_takes_the_place_of_the_labelled_mean(five):
    rules = Rules(instances="prior", per_image=0.5)
    assert select(five, 4, wanted(0.75, 1.0), rules).instance == Threshold(0.7, 2, 2, False)


def test_a_fixed_score_and_a_fixed_probability_keep_what_reaches_them(five):
    rules = Rules("fixed", "fixed", min_score=0.55, min_probability=0.8)
    assert select(five, 4, wanted(9.0, 9.0), rules) == Selection(
        Threshold(0.55, 3, 3, False), Threshold(0.8, 2, 2, False)
    )


@pytest.mark.parametrize(
    "rules",
    [
        Rules(instances="fixed", min_score=0.95),
        Rules(keypoints="fixed", min_probability=0.999),
    ],
)
def test_a_fixed_value_that_nothing_reaches_is_an_error_with_the_best(five, rules):
    with pytest.raises(DataError, match=r"no prediction reaches 0\.9.*the best is 0\.9"):
        select(five, 4, wanted(0.75, 1.0), rules)


def test_every_keypoint_matches_its_own_share_by_type(five):
    # of the instances 0.9, 0.7 and 0.6, one has the first keypoint marked and two the second
    rules = Rules(keypoints="match_by_type")
    found = select(five, 4, wanted(0.75, 1.0, (1 / 3, 2 / 3)), rules)
    assert found.keypoint is None
    assert [each.value for each in found.by_type] == [0.9, 0.4]
    kept = found.keeps_keypoints(np.array([[0.9, 0.1], [0.5, 0.4]]), np.zeros((2, 2), np.int16))
    assert kept.tolist() == [[True, False], [False, True]]


def test_keypoints_stay_by_the_views_that_agree_on_them(five):
    found = select(five, 4, wanted(0.75, 1.0), Rules(keypoints="agreement", min_views=9))
    agreeing = np.array([[12, 3], [9, 8]], np.int16)
    assert found.keeps_keypoints(np.zeros((2, 2)), agreeing).tolist() == [
        [True, False],
        [True, False],
    ]


def test_the_views_that_must_agree_are_those_on_people_who_are_kept(five):
    # 18 agree on the rejected 0.2 alone; on those who are kept 17 at most
    assert select(five, 4, wanted(0.75, 1.0), Rules(keypoints="agreement", min_views=17)).views
    with pytest.raises(DataError, match="no keypoint has 18 views that agree"):
        select(five, 4, wanted(0.75, 1.0), Rules(keypoints="agreement", min_views=18))


@pytest.mark.parametrize("keypoints", ["match", "match_by_type", "fixed", "agreement"])
def test_the_band_to_ignore_goes_with_every_rule_for_keypoints(five, keypoints):
    rules = Rules(keypoints=keypoints, min_views=9, min_probability=0.1, min_ignored=0.3)
    assert select(five, 4, wanted(0.75, 1.0), rules).ignored == 0.3


def test_a_keypoint_that_is_hardly_ever_marked_is_kept_once(five):
    found = select(five, 4, wanted(0.75, 1.0, (0.0, 2 / 3)), Rules(keypoints="match_by_type"))
    assert found.by_type[0] == Threshold(0.9, 1, 1, exhausted=False)


def test_where_nothing_is_found_thresholds_by_type_keep_nothing(five):
    found = select(five, 4, wanted(0.75, 1.0), Rules(keypoints="match_by_type"))
    nothing = np.zeros((0, 0))
    assert found.keeps_keypoints(nothing, nothing.astype(np.int16)).shape == (0, 0)


def test_candidates_too_few_for_the_density_are_all_kept_and_it_is_said(table, in_memory):
    candidates = in_memory(table([(100, 0.1, [0, 0, 9, 9], [0.9, 0.2])]))
    assert select(candidates, 4, wanted(0.75, 2.0), Rules()) == Selection(
        Threshold(0.1, 3, 1, exhausted=True), Threshold(0.2, 2, 2, exhausted=False)
    )


def test_finding_nothing_at_all_is_an_error_that_says_in_how_many_images(table, in_memory):
    nothing = table([(100, 0.1, BOX, [0.9, 0.2])]).slice(0, 0)
    with pytest.raises(DataError, match="nothing in 3 images"):
        select(in_memory(nothing), 3, wanted(1.0, 9.0), Rules())
