import pytest
import torch

from datastill.inference.heatmaps import HeatmapMean, decode, probabilities

BINS = 28
UNIT = torch.tensor([[0.0, 0.0, float(BINS), float(BINS)]])  # one pixel per bin


def gaussian(x, y, sigma):
    """A heatmap (1, 1, 28, 28) that sums to 1, its peak `x`, `y` in bins from the first centre."""
    steps = torch.arange(BINS, dtype=torch.float32)
    squares = (steps[None, :] - x) ** 2 + (steps[:, None] - y) ** 2
    heatmap = torch.exp(-squares / (2 * sigma**2))
    return (heatmap / heatmap.sum())[None, None]


def test_the_mean_is_of_probabilities_or_of_logits():
    """By hand: of 90 % and 50 % for the first of two positions."""
    sure, unsure = torch.tensor([9.0, 1.0]).log(), torch.tensor([1.0, 1.0]).log()
    found = {}
    for average in ("probabilities", "logits"):
        mean = HeatmapMean(average)
        for logits in (sure, unsure):
            mean.add(logits.view(1, 1, 1, 2))
        found[average] = mean.value().flatten().tolist()
    assert found["probabilities"] == pytest.approx([0.7, 0.3])
    assert found["logits"] == pytest.approx([0.75, 0.25])  # odds: the root of 9 : 1 times 1 : 1


def test_probabilities_sum_to_one_over_the_positions_of_each_map():
    logits = torch.randn((3, 17, 6, 5), generator=torch.Generator().manual_seed(0)) * 20
    found = probabilities(logits)
    assert found.shape == logits.shape
    assert torch.allclose(found.sum((2, 3)), torch.ones(3, 17), atol=1e-5)
    assert (found >= 0).all()
    by_hand = logits[1, 4].double().exp() / logits[1, 4].double().exp().sum()
    assert torch.allclose(found[1, 4].double(), by_hand, atol=1e-6)


def test_bin_i_of_m_is_centred_half_a_bin_further_in_the_box():
    heatmaps = torch.zeros((2, 1, 8, 8))
    heatmaps[0, 0, 3, 5] = 1
    heatmaps[1, 0, 0, 7] = 0.25
    boxes = torch.tensor([[10.0, 20.0, 50.0, 100.0], [0.0, 0.0, 16.0, 32.0]])
    found = decode(heatmaps, boxes)
    # 10 + 5.5 / 8 * 40, 20 + 3.5 / 8 * 80; 7.5 / 8 * 16, 0.5 / 8 * 32
    assert found.tolist() == [[[37.5, 55.0, 1.0]], [[15.0, 2.0, 0.25]]]


def test_a_map_need_not_be_square():
    heatmaps = torch.zeros((1, 1, 4, 10))
    heatmaps[0, 0, 2, 9] = 1
    found = decode(heatmaps, torch.tensor([[0.0, 0.0, 10.0, 4.0]]))
    assert found.tolist() == [[[9.5, 2.5, 1.0]]]


@pytest.mark.parametrize("sigma", [0.7, 1.5, 4.0])
@pytest.mark.parametrize(("x", "y"), [(12.3, 9.6), (5.45, 20.0), (1.1, 26.4), (14.0, 13.55)])
def test_the_peak_of_a_sampled_gaussian_is_found_between_the_bins(x, y, sigma):
    found = decode(gaussian(x, y, sigma), UNIT)[0, 0]
    assert found[:2].tolist() == pytest.approx([x + 0.5, y + 0.5], abs=0.05)


def test_the_score_is_the_probability_of_the_highest_bin():
    heatmap = gaussian(12.3, 9.6, 1.5)
    assert decode(heatmap, UNIT)[0, 0, 2] == heatmap.max()


def test_a_keypoint_never_leaves_the_bin_of_its_peak():
    heatmaps = torch.rand((200, 17, 7, 7), generator=torch.Generator().manual_seed(1)) ** 8
    heatmaps[::3] = (heatmaps[::3] * 4).round() / 4  # plateaus and zeros
    found = decode(heatmaps, torch.tensor([[0.0, 0.0, 7.0, 7.0]]).expand(200, 4))
    place = heatmaps.flatten(2).argmax(-1)
    offset = found[..., :2] - torch.stack([place % 7, place // 7], -1) - 0.5
    assert torch.isfinite(found).all()
    assert offset.abs().max() <= 0.5 + 1e-5
    assert offset.abs().max() > 0.4


def test_of_two_equal_highest_bins_the_middle_is_taken():
    heatmap = torch.full((1, 1, BINS, BINS), 1e-4)
    heatmap[0, 0, 10, 7:9] = 0.4
    assert decode(heatmap, UNIT)[0, 0, :2].tolist() == pytest.approx([8.0, 10.5], abs=1e-4)


@pytest.mark.parametrize(("edge", "centre"), [(-0.4, 0.5), (27.4, 27.5)])
def test_a_peak_at_the_border_does_not_move_across_it_but_along_it(edge, centre):
    along_y = decode(gaussian(edge, 9.3, 1.5), UNIT)[0, 0]
    assert along_y[0] == centre
    assert along_y[1] == pytest.approx(9.8, abs=0.05)
    along_x = decode(gaussian(9.3, edge, 1.5), UNIT)[0, 0]
    assert along_x[1] == centre
    assert along_x[0] == pytest.approx(9.8, abs=0.05)


@pytest.mark.parametrize("sigma", [0.5, 2.0, 10.0])
def test_a_symmetrical_peak_is_exactly_central(sigma):
    assert decode(gaussian(12.0, 20.0, sigma), UNIT)[0, 0, :2].tolist() == [12.5, 20.5]


def test_no_instances_have_no_keypoints():
    assert probabilities(torch.zeros((0, 17, 28, 28))).shape == (0, 17, 28, 28)
    assert decode(torch.zeros((0, 17, 28, 28)), torch.zeros((0, 4))).shape == (0, 17, 3)
