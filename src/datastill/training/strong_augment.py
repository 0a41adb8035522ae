"""Strong augmentation: colour jitter, blur and holes, none of which moves an annotation."""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional


def distort(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Return `image` (3, h, w) uint8 with colour jitter, blur and occlusion.

    That is jitter of brightness, contrast, saturation and hue, loss of colour, blur, and
    up to three rectangles of one random colour each, as in STAC (arXiv 2005.04757).
    """
    if rng.random() < 0.8:  # as in most work on consistency
        brightness, contrast, saturation = rng.uniform(0.6, 1.4, 3).tolist()
        image = functional.adjust_brightness(image, brightness)
        image = functional.adjust_contrast(image, contrast)
        image = functional.adjust_saturation(image, saturation)
        image = functional.adjust_hue(image, float(rng.uniform(-0.1, 0.1)))
    if rng.random() < 0.2:
        image = functional.rgb_to_grayscale(image, num_output_channels=3)
    if rng.random() < 0.5:
        image = functional.gaussian_blur(image, [5, 5], [float(rng.uniform(0.1, 2.0))])
    if rng.random() < 0.7:
        image = _with_holes(image, rng)
    return image


def _with_holes(image: Tensor, rng: np.random.Generator) -> Tensor:
    image = image.clone()
    height, width = image.shape[-2:]
    for _ in range(int(rng.integers(1, 4))):
        area, aspect = rng.uniform(0.02, 0.1) * height * width, np.exp(rng.uniform(-1, 1))
        tall = min(height, max(1, round(float(np.sqrt(area * aspect)))))
        wide = min(width, max(1, round(float(np.sqrt(area / aspect)))))
        top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
        colour = torch.from_numpy(rng.integers(0, 256, 3, dtype=np.uint8))
        image[:, top : top + tall, left : left + wide] = colour[:, None, None]
    return image
