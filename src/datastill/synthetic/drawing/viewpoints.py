"""The direction that drawn people face."""

import numpy as np

_OBLIQUE = 0.6  # radians off the viewer's line from which a person is seen from the side


def random_yaw(rng: np.random.Generator) -> float:
    """Sample a yaw in radians: most people face the camera, some turn their back or their side.

    0 faces the viewer, pi turns the back, pi / 2 faces the image's right.
    """
    kind = rng.random()
    if kind < 0.6:
        return rng.normal(0, 0.3)
    if kind < 0.9:
        return np.pi + rng.normal(0, 0.3)
    return rng.choice([-1, 1]) * rng.uniform(0.6, 1.4)


def visible_side(yaw: float) -> str:
    """Return front, back, or the image's side that a person of that `yaw` faces: left, right."""
    turned = (yaw + np.pi) % (2 * np.pi) - np.pi
    if abs(turned) < _OBLIQUE:
        return "front"
    if abs(turned) > np.pi - _OBLIQUE:
        return "back"
    return "right" if turned > 0 else "left"
