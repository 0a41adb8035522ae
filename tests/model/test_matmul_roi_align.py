import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign, roi_align

from datastill.model.matmul_roi_align import MatmulRoIAlign

HEIGHT, WIDTH = 96, 128  # pixels; feature cells are 4 of them
ODD = [
    [-8.3, -9.1, 7.7, 8.2],
    [118.4, 85.3, 150.1, 130.6],
    [-40.0, 30.3, 170.2, 60.4],
    [0.0, 0.0, 128.0, 96.0],
    [-60.0, -50.0, -20.0, -10.0],
    [140.2, 20.0, 180.0, 50.0],
    [60.1, 50.2, 60.4, 50.3],
    [127.9, 95.9, 128.0, 96.0],
    [33.3, 44.4, 33.3, 44.4],
    [33.3, 10.2, 33.9, 80.7],
]


def random_boxes(number, generator):
    """Boxes of every size and shape around the image, some of them across its border."""
    corner = torch.rand(number, 2, generator=generator) * torch.tensor([150, 120]) - 16
    sides = torch.exp(torch.rand(number, 2, generator=generator) * 6 - 1)
    return torch.cat([corner, corner + sides], dim=1).double()


def cases():
    generator = torch.Generator().manual_seed(0)
    some, many = random_boxes(7, generator), random_boxes(60, generator)
    none, odd = torch.zeros(0, 4).double(), torch.tensor(ODD).double()
    return {
        "random": [some, many],
        "odd": [odd, some],
        "no boxes on some": [none, many, none],
        "no boxes at all": [none, none],
    }


def pooled(pool, maps, boxes, weights):
    """What `pool` makes of `boxes` and the gradient of its weighted sum."""
    maps = maps.clone().requires_grad_()
    result = pool({"0": maps, "1": maps[..., ::2, ::2]}, boxes, [(HEIGHT, WIDTH)] * len(boxes))
    (result * weights).sum().backward()
    return result.detach(), maps.grad


@pytest.mark.parametrize("output", [7, 14])
@pytest.mark.parametrize("case", cases())
def test_values_and_gradients_are_those_of_torchvision(case, output):
    boxes = cases()[case]
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(len(boxes), 5, 24, 32, generator=generator).double()
    shape = (sum(map(len, boxes)), 5, output, output)
    weights = torch.randn(shape, generator=generator).double()
    theirs = pooled(MultiScaleRoIAlign(["0"], output, 2), maps, boxes, weights)
    ours = pooled(MatmulRoIAlign("0", 4, output), maps, boxes, weights)
    assert ours[0].shape == shape
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 8])
def test_every_stride_and_number_of_samples_is_that_of_roi_align(stride):
    generator = torch.Generator().manual_seed(2)
    maps = torch.randn(1, 3, 24, 32, generator=generator).double()
    boxes = random_boxes(40, generator) * stride / 4
    for samples in (1, 2, 4):
        expected = roi_align(maps, [boxes], 7, 1 / stride, samples, aligned=False)
        found = MatmulRoIAlign("0", stride, 7, samples)({"0": maps}, [boxes], [(24, 32)])
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_single_precision_is_as_exact_as_torchvisions():
    generator = torch.Generator().manual_seed(3)
    maps = torch.randn(2, 5, 24, 32, generator=generator)
    boxes = [random_boxes(40, generator).float() for _ in range(2)]
    expected = MultiScaleRoIAlign(["0"], 7, 2)({"0": maps}, boxes, [(HEIGHT, WIDTH)] * 2)
    found = MatmulRoIAlign("0", 4, 7)({"0": maps}, boxes, [(HEIGHT, WIDTH)] * 2)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("autocast", [False, True])
def test_coordinates_are_not_rounded_when_features_are(autocast):
    generator = torch.Generator().manual_seed(4)
    maps = torch.randn(1, 5, 60, 80, generator=generator).bfloat16()
    boxes = random_boxes(40, generator).float() + torch.tensor([130.0, 80.0, 130.0, 80.0])
    pool, sizes = MatmulRoIAlign("0", 4, 7), [(240, 320)]
    expected = pool({"0": maps.float()}, [boxes], sizes)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = pool({"0": maps}, [boxes], sizes)
    rounded = pool({"0": maps.float()}, [boxes.bfloat16().float()], sizes)
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).abs().max() < 0.03
    assert (rounded - expected).abs().max() > 0.3
