"""RGB colours, 0 to 255."""

import colorsys

import numpy as np

Colour = tuple[float, float, float]
Range = tuple[float, float]


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """Return `colour` with a `share` of `other` in it."""
    red, green, blue = (a + share * (b - a) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def darker(colour: Colour, factor: float) -> Colour:
    """Return `colour` times `factor`; above 1 it becomes lighter, up to white."""
    red, green, blue = (min(255.0, channel * factor) for channel in colour)
    return red, green, blue


def random_colour(
    rng: np.random.Generator, saturation: Range = (0.05, 0.9), value: Range = (0.2, 1.0)
) -> Colour:
    """Sample a colour of any hue, by default that of cloth or paint; ranges within 0 to 1."""
    hsv = rng.random(), rng.uniform(*saturation), rng.uniform(*value)
    red, green, blue = (255 * channel for channel in colorsys.hsv_to_rgb(*hsv))
    return red, green, blue
