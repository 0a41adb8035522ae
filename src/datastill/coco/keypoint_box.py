"""Boxes of annotations that have only keypoints."""

from collections.abc import Sequence

BOX_MARGIN = 0.15  # of the longer side of the keypoints' extent, added on every side
MIN_BOX_MARGIN = 10.0  # pixels

Point = tuple[float, float]  # x, y in pixels


def box_rule(margin: float) -> str:
    """Return in words how `keypoint_box` makes a box."""
    return (
        f"the extent of the keypoints with a margin of {margin:.0%} of its longer side, at least "
        f"{MIN_BOX_MARGIN:.0f} px"
    )


def keypoint_box(
    points: Sequence[Point], size: tuple[int, int], margin: float = BOX_MARGIN
) -> list[float]:
    """Return x, y, width and height of the box around `points`, clipped to an image of `size`.

    margin  added on every side, as a fraction of the longer side of the points' extent
    """
    xs, ys = zip(*points, strict=True)
    pixels = max(margin * max(max(xs) - min(xs), max(ys) - min(ys)), MIN_BOX_MARGIN)
    x1, y1 = max(min(xs) - pixels, 0.0), max(min(ys) - pixels, 0.0)
    x2, y2 = min(max(xs) + pixels, size[0]), min(max(ys) + pixels, size[1])
    return [x1, y1, x2 - x1, y2 - y1]
