import math

import pytest
import torch

from datastill.inference.agreement import view_agreement


def test_spread_and_agreement_are_those_worked_out_by_hand():
    boxes = torch.tensor([[0.0, 0.0, 20.0, 5.0]])  # area 100: the unit is 10 pixels
    ensembled = torch.tensor([[[10.0, 2.0], [3.0, 3.0]]])
    views = [
        ensembled,
        ensembled + torch.tensor([0.294, 0.392]),  # 0.49 pixels: 0.049 units, agreeing
        ensembled + torch.tensor([[0.306, 0.408], [0.0, 0.0]]),  # 0.51 pixels are not; none
    ]
    evidence = view_agreement(boxes, ensembled, views)
    expected = [math.sqrt((0.049**2 + 0.051**2) / 3), math.sqrt(0.049**2 / 3)]
    assert evidence.spread[0].tolist() == pytest.approx(expected, rel=1e-5)
    assert evidence.agreeing.dtype == torch.int16
    assert evidence.agreeing[0].tolist() == [2, 3]


def test_no_instances_have_no_evidence():
    keypoints = torch.zeros(0, 17, 2)
    nothing = view_agreement(torch.zeros(0, 4), keypoints, [keypoints])
    assert nothing.spread.shape == nothing.agreeing.shape == (0, 17)
