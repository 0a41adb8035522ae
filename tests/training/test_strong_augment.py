import numpy as np
import pytest
import torch

from datastill.training import strong_augment as distortion
from datastill.training.strong_augment import distort


@pytest.fixture
def image():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 60, 80), dtype=np.uint8))


def test_an_image_is_distorted_the_same_for_the_same_numbers(image):
    before = image.clone()
    seen = [distort(image, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(image, before)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert all(each.shape == image.shape and each.dtype == torch.uint8 for each in seen)


def test_an_edge_is_blurred_about_every_other_time(monkeypatch):
    monkeypatch.setattr(distortion, "_with_holes", lambda image, _: image)
    edge = torch.full((3, 60, 80), 60, dtype=torch.uint8)
    edge[..., 40:] = 200  # two colours, whatever changes them pixel by pixel
    seen = [distort(edge, np.random.default_rng(seed)) for seed in range(60)]
    assert 0.25 < np.mean([e.flatten(1).unique(dim=1).shape[1] > 2 for e in seen]) < 0.65


def test_every_kind_of_distortion_happens():
    """On a plain image of one colour only holes make an edge."""
    plain = torch.full((3, 60, 80), 100, dtype=torch.uint8)
    plain[0] = 160
    seen = [distort(plain, np.random.default_rng(seed)) for seed in range(60)]
    corners = [each[:, 0, 0].tolist() for each in seen]
    holes = [len(each.flatten(1).unique(dim=1)[0]) > 1 for each in seen]
    grey = [red == green == blue for red, green, blue in corners]
    assert 0.5 < np.mean(holes) < 0.9
    assert 0.05 < np.mean(grey) < 0.45
    assert len({tuple(corner) for corner in corners}) > 30


def test_nothing_moves(image):
    """What is left of the image correlates with it where it was, and nowhere else."""
    one = image.float().mean(0)
    shifted = one.roll(3, dims=1)
    for seed in range(10):
        other = distort(image, np.random.default_rng(seed)).float().mean(0)
        there, elsewhere = (torch.corrcoef(torch.stack([each.ravel(), other.ravel()]))[0, 1]
                            for each in (one, shifted))  # fmt: skip
        assert there > 0.25 > elsewhere
