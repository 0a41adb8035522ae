import pytest
import torch

from datastill.inference.views import View, all_views


def blank(height, width):
    return torch.zeros((3, height, width), dtype=torch.uint8)


def test_nine_scales_plain_and_flipped_are_the_18_views_of_the_paper():
    views = all_views(range(400, 1201, 100), 1333, flip=True)
    assert len(views) == len(set(views)) == 18
    for flip in (False, True):
        sides = sorted(view.short_side for view in views if view.flip is flip)
        assert sides == [400, 500, 600, 700, 800, 900, 1000, 1100, 1200]
    assert {view.long_side for view in views} == {1333}


def test_without_flip_every_scale_is_seen_once_and_plain():
    views = all_views([64, 96], 200, flip=False)
    assert views == (View(64, 200, flip=False), View(96, 200, flip=False))


def test_with_quarter_turns_every_view_is_also_turned():
    views = all_views([64, 96], 200, flip=True, quarter_turns=True)
    assert len(set(views)) == 16
    assert [view.turns for view in views if view == View(96, 200, True, view.turns)] == [0, 1, 2, 3]


def test_a_flip_mirrors_boxes_about_the_continuous_width():
    view = View(50, 1000, flip=True)
    mirrored = view.boxes(torch.tensor([[10.0, 5.0, 20.0, 30.0]]), blank(50, 100))
    assert mirrored.tolist() == [[80.0, 5.0, 90.0, 30.0]]


def test_a_flip_mirrors_about_the_width_of_the_view_and_not_of_the_image():
    view = View(100, 1000, flip=True)
    mirrored = view.boxes(torch.tensor([[10.0, 5.0, 20.0, 30.0]]), blank(50, 100))
    assert mirrored.tolist() == [[160.0, 10.0, 180.0, 60.0]]


def test_x_and_y_scale_by_their_own_factors_where_sizes_are_rounded():
    view, image = View(20, 1000), blank(31, 47)
    assert view.size(image) == (20, 30)  # 47 * 20 / 31 = 30.32
    whole = torch.tensor([[0.0, 0.0, 47.0, 31.0]])
    assert view.boxes(whole, image)[0].tolist() == pytest.approx([0, 0, 30, 20], abs=1e-5)
    inner = view.boxes(torch.tensor([[4.7, 3.1, 9.4, 6.2]]), image)
    assert inner[0].tolist() == pytest.approx([3, 2, 6, 4], abs=1e-5)


@pytest.mark.parametrize("size", [(31, 47), (97, 33), (64, 64)])
@pytest.mark.parametrize("side", [20, 31, 113])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_boxes_there_and_back_are_where_they_were(size, side, flip, turns):
    boxes = torch.rand((50, 4), generator=torch.Generator().manual_seed(side)) * 40
    view, image = View(side, 150, flip, turns), blank(*size)
    there = view.boxes(boxes, image)
    assert torch.allclose(view.boxes_back(there, image), boxes, atol=1e-4)


def test_boxes_mirrored_twice_are_where_they_were():
    boxes = torch.rand((50, 4), generator=torch.Generator().manual_seed(0)) * 40
    view, image = View(41, 1000, flip=True), blank(41, 63)
    assert torch.allclose(view.boxes(view.boxes(boxes, image), image), boxes, atol=1e-4)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("side", [30, 60, 77])
def test_boxes_stay_on_the_pixels_they_surround(flip, turns, side):
    image = blank(60, 90)
    image[:, 20:45, 12:33] = 255
    view = View(side, 1000, flip, turns)
    seen = view.apply(image).float().mean(0)
    assert tuple(seen.shape) == view.size(image)
    x1, y1, x2, y2 = view.boxes(torch.tensor([[12.0, 20.0, 33.0, 45.0]]), image)[0].tolist()
    expected = torch.zeros_like(seen)
    expected[round(y1) : round(y2), round(x1) : round(x2)] = 255
    edge = 2 * (x2 - x1 + y2 - y1)  # pixels that the outline may blur
    assert (seen - expected).abs().sum() / 255 < edge


def test_the_long_side_limits_the_scale():
    assert View(100, 200).size(blank(100, 400)) == (50, 200)
    assert View(100, 200).size(blank(400, 100)) == (200, 50)
    assert View(100, 200).size(blank(100, 150)) == (100, 150)
    assert View(100, 200).apply(blank(100, 400)).shape == (3, 50, 200)


def test_a_flipped_heatmap_is_turned_and_its_channel_becomes_its_partner(flip_indices):
    heatmaps = torch.zeros((1, 17, 4, 4))
    heatmaps[0, 1, 2, 0] = 1  # left eye, third row, first column
    heatmaps[0, 0, 3, 1] = 2  # nose
    expected = torch.zeros((1, 17, 4, 4))
    expected[0, 2, 2, 3] = 1  # right eye, third row, last column
    expected[0, 0, 3, 2] = 2
    assert torch.equal(View(50, 100, flip=True).heatmaps_back(heatmaps, flip_indices), expected)


def test_heatmaps_turned_twice_are_what_they_were_and_plain_ones_are_not_turned(flip_indices):
    heatmaps = torch.rand((3, 17, 5, 5), generator=torch.Generator().manual_seed(0))
    plain, flipped = View(50, 100), View(50, 100, flip=True)
    turned = flipped.heatmaps_back(heatmaps, flip_indices)
    assert not torch.equal(turned, heatmaps)
    assert torch.equal(flipped.heatmaps_back(turned, flip_indices), heatmaps)
    assert torch.equal(plain.heatmaps_back(heatmaps, flip_indices), heatmaps)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_a_heatmap_comes_back_from_a_turned_view_as_the_image_does(flip, turns):
    image = torch.arange(3 * 25, dtype=torch.uint8).reshape(3, 5, 5)
    view = View(5, 5, flip, turns)
    seen = view.apply(image)[None].float()
    assert torch.equal(seen[0].byte(), image) == (view == View(5, 5))
    assert torch.equal(view.heatmaps_back(seen, (0, 1, 2))[0], image.float())
