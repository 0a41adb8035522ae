"""Camera effects: exposure, blur, grain and compression."""

import cv2
import numpy as np

from datastill.synthetic.drawing.raster import Image


def photograph(image: Image, rng: np.random.Generator) -> Image:
    """Return `image` as a still camera takes it: exposure, a little blur, fine grain."""
    gain, offset = rng.uniform(0.75, 1.2), rng.normal(0, 12)
    tint = gain * rng.normal(1, 0.035, 3)
    lit = _levels(image, tint, np.full(3, offset))
    if rng.random() < 0.3:
        lit = np.asarray(cv2.GaussianBlur(lit, (3, 3), rng.uniform(0.4, 1.0)), np.uint8)
    return _recorded(lit, rng, (2, 6), (60, 96))


def film(image: Image, rng: np.random.Generator) -> Image:
    """Return `image` as a frame of a cheap video: pale, tinted, panned, interlaced, blocky."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    colour = rng.uniform(0.6, 1.0)
    pale = np.asarray(cv2.addWeighted(image, colour, grey, 1 - colour, 0), np.uint8)
    cast = np.array([rng.normal(-8, 8), rng.normal(4, 6), rng.normal(8, 10)]) + 18
    toned = _levels(pale, np.full(3, rng.uniform(0.65, 0.9)), cast)
    panned = _panned(toned, int(rng.integers(1, 3)), rng.uniform(-25, 25))
    if rng.random() < 0.1:
        panned[1::2] = np.roll(panned[1::2], int(rng.integers(1, 3)), axis=1)
    return _recorded(panned, rng, (2, 8), (50, 90))


def _levels(image: Image, gain: np.ndarray, offset: np.ndarray) -> Image:
    table = np.arange(256)[:, None] * gain + offset
    return np.asarray(cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[None]), np.uint8)


def _panned(image: Image, length: int, degrees: float) -> Image:
    """Blur along a line of `length` pixels at an angle to the horizontal."""
    if length < 2:
        return image
    kernel = np.zeros((7, 7), np.float32)
    along = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]) * length / 2
    start, end = np.rint(3 - along).astype(int), np.rint(3 + along).astype(int)
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _recorded(
    image: Image, rng: np.random.Generator, percent: tuple[int, int], quality: tuple[int, int]
) -> Image:
    """Add grain of `percent` and compress to JPEG of `quality` (0 to 100), each from its range."""
    share = rng.uniform(*percent) / 100
    grain = rng.integers(0, 256, image.shape, np.uint8)
    grainy = cv2.addWeighted(image, 1, grain, share, -127.5 * share)
    _, code = cv2.imencode(".jpg", grainy, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*quality))])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
