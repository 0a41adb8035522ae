import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import resize as torchvision_resize

from datastill.images.geometry import mirror_boxes, resize, scaled_size, unit_interval


@pytest.mark.parametrize(
    ("size", "sides", "expected"),
    [
        ((240, 320), (120, 999), (120, 160)),
        ((320, 240), (120, 999), (160, 120)),
        ((240, 320), (480, 640), (480, 640)),
        ((100, 1000), (200, 500), (50, 500)),
        ((1000, 100), (200, 500), (500, 50)),
        ((30, 50), (20, 999), (20, 33)),
        ((1, 5000), (10, 100), (1, 100)),
        ((7, 7), (21, 20), (20, 20)),
    ],
)
def test_the_short_side_is_as_asked_unless_the_long_one_would_pass(size, sides, expected):
    assert scaled_size(*size, *sides) == expected


def test_no_size_ever_passes_either_side():
    rng = np.random.default_rng(0)
    for height, width, short, more in rng.integers(1, 900, (2000, 4)).tolist():
        scaled = scaled_size(height, width, short, short + more)
        assert min(scaled) <= short
        assert max(scaled) <= short + more
        assert min(scaled) == short or max(scaled) == short + more


@pytest.mark.parametrize("sides", [(20, 999), (20, 25), (61, 999), (30, 50)])
def test_an_image_is_resized_to_exactly_that_size(sides):
    image = torch.full((3, 30, 50), 9, dtype=torch.uint8)
    scaled = resize(image, *sides)
    assert scaled.shape == (3, *scaled_size(30, 50, *sides))
    assert scaled.dtype == torch.uint8
    assert (scaled == 9).all()


def test_shrinking_smooths_stripes_and_does_not_pick_some():
    stripes = (torch.arange(90) % 2 * 255).to(torch.uint8).expand(3, 60, 90)
    assert (resize(stripes, 20, 999).int() - 127).abs().max() < 30


@pytest.mark.parametrize("sides", [(20, 999), (45, 999), (30, 50)])
def test_resizing_is_torchvisions(sides):
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 30, 50), np.uint8))
    expected = torchvision_resize(image, list(scaled_size(30, 50, *sides)), antialias=True)
    assert torch.equal(resize(image, *sides), expected)


def test_bytes_become_the_unit_interval():
    image = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert torch.equal(unit_interval(image), torch.tensor([0, 0.2, 1]))
    assert image.tolist() == [0, 51, 255]


def test_a_mirrored_box_holds_the_mirrored_pixels():
    image = torch.zeros(20, 30)
    image[4:9, 3:11] = 1
    (box,) = mirror_boxes(torch.tensor([[3.0, 4.0, 11.0, 9.0]]), 30)
    x1, y1, x2, y2 = box.int().tolist()
    assert image.flip(-1)[y1:y2, x1:x2].all()
    assert image.sum() == (x2 - x1) * (y2 - y1)
