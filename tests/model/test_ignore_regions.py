import pytest
import torch

from datastill.model.detector import build_detector
from datastill.model.ignore_regions import on_ignored

REGION = [60.0, 40.0, 120.0, 90.0]


@pytest.fixture
def detector():
    torch.manual_seed(0)
    return build_detector("small", 17).train()


def test_a_box_lies_on_a_region_by_the_share_of_its_own_area():
    boxes = torch.tensor(
        [
            [60, 40, 70, 50],
            [53, 40, 63, 50],
            [57, 40, 67, 50],
            [56.9, 40, 66.9, 50],
            [0, 0, 300, 300],
        ]
    )
    assert on_ignored(boxes, torch.tensor([REGION])).tolist() == [True, False, True, False, False]
    assert on_ignored(boxes, torch.zeros(0, 4)).tolist() == [False] * 5
    assert on_ignored(boxes[:1], torch.tensor([[0.0, 0, 1, 1], REGION])).tolist() == [True]


def test_anchors_on_a_region_are_no_background_and_those_on_a_person_stay_a_person(
    detector, people
):
    anchors = [torch.tensor([[70.0, 45, 100, 85], [61, 41, 71, 51], [0, 0, 20, 20]])]
    target = people([70.0, 45, 100, 85])
    rpn = detector.rcnn.rpn.rpn
    plain, _ = rpn.assign_targets_to_anchors(anchors, [target])
    assert plain[0].tolist() == [1, 0, 0]
    ignoring, _ = rpn.assign_targets_to_anchors(
        anchors, [{**target, "ignored": torch.tensor([REGION])}]
    )
    assert ignoring[0].tolist() == [1, -1, 0]


def test_proposals_on_a_region_are_left_out_unless_they_are_a_person(detector, people):
    proposals = [torch.tensor([[70.0, 45, 100, 85], [61, 41, 71, 51], [0, 0, 20, 20]])]
    target = people([70.0, 45, 100, 85])
    heads = detector.rcnn.roi_heads
    sampled = {}
    for name, region in (("plain", torch.zeros(0, 4)), ("ignoring", torch.tensor([REGION]))):
        kept, _, labels, _ = heads.select_training_samples(
            proposals, [{**target, "ignored": region}]
        )
        sampled[name] = sorted(zip(kept[0].tolist(), labels[0].tolist(), strict=True))
    person = ([70.0, 45, 100, 85], 1)  # once proposed, once as the truth
    assert sampled["plain"] == [([0, 0, 20, 20], 0), ([61, 41, 71, 51], 0), person, person]
    assert sampled["ignoring"] == [([0, 0, 20, 20], 0), person, person]
