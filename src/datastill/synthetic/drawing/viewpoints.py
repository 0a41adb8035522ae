"""The direction that drawn people face."""

import numpy as np


def random_yaw(rng: np.random.Generator) -> float:
    """Sample a `Placement.yaw`: most people face the viewer, some turn their back or a side."""
    kind = rng.random()
    if kind < 0.6:
        return rng.normal(0, 0.3)
    if kind < 0.9:
        return np.pi + rng.normal(0, 0.3)
    return rng.choice([-1, 1]) * rng.uniform(0.6, 1.4)


def visible_side(yaw: float) -> str:
    """Return front, back, or the image's side that a person of that `yaw` faces: left, right."""
    turned = (yaw + np.pi) % (2 * np.pi) - np.pi
    oblique = 0.6  # from here a person is seen from the side
    if abs(turned) < oblique:
        return "front"
    if abs(turned) > np.pi - oblique:
        return "back"
    return "right" if turned > 0 else "left"
