"""Boxes of annotations that have only keypoints."""

from collections.abc import Sequence

BOX_MARGIN = 0.15  # of the longer side of the keypoints' extent, added on every side
MIN_BOX_MARGIN = 10.0  # pixels
BOX_RULE = (
    f"the extent of the keypoints with a margin of {BOX_MARGIN:.0%} of its longer side, at least "
    f"{MIN_BOX_MARGIN:.0f} px"
)

Point = tuple[float, float]  # x, y in pixels


def keypoint_box(points: Sequence[Point], size: tuple[int, int]) -> list[float]:
    """Return x, y, width and height of the box around `points`, clipped to an image of `size`."""
    xs, ys = zip(*points, strict=True)
    margin = max(BOX_MARGIN * max(max(xs) - min(xs), max(ys) - min(ys)), MIN_BOX_MARGIN)
    x1, y1 = max(min(xs) - margin, 0.0), max(min(ys) - margin, 0.0)
    x2, y2 = min(max(xs) + margin, size[0]), min(max(ys) + margin, size[1])
    return [x1, y1, x2 - x1, y2 - y1]
