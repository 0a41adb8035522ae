"""Boxes and keypoints that are not in pixels as COCO has them, recognised in a whole file."""

from collections.abc import Iterable, Sequence

from datastill.coco.format import Record
from datastill.errors import DataError

_MARGIN = 1.0  # pixels by which clean boxes may leave their image
_MIN_OUTSIDE = 3  # boxes
_OUTSIDE, _CORNERS = 0.25, 0.95  # of all boxes; in COCO itself 0 and 0.2

Size = tuple[int, int]  # width, height


def check_convention(annotations: Sequence[Record], sizes: dict[int, Size]) -> None:
    """Raise DataError if boxes or keypoints are fractions of their image, or boxes are corners.

    Fractions: no number in the file is above 1, so all objects would be in the first pixel.
    Corners: as x1, y1, x2, y2 almost every box is in its image and has an extent, and as x, y,
    width, height a quarter of the boxes, at least 3, leave their images by more than a pixel.
    """
    boxes = (a["bbox"] for a in annotations)
    points = (zip(*[iter(a.get("keypoints") or ())] * 3, strict=True) for a in annotations)
    marked = ((x, y) for each in points for x, y, v in each if v > 0)
    for name, positions in (("boxes", boxes), ("keypoints", marked)):
        if _are_fractions(positions):
            raise DataError(
                f"{name}: expected pixels, found no number above 1: they are normalised to 1; "
                "multiply x and width by the width of the image, y and height by its height"
            )
    corners = outside = 0
    for a in annotations:
        (x, y, right, low), (width, height) = a["bbox"], (e + _MARGIN for e in sizes[a["image_id"]])
        corners += -_MARGIN <= x < right <= width and -_MARGIN <= y < low <= height
        outside += x + right > width or y + low > height
    count = len(annotations)
    if outside >= max(_MIN_OUTSIDE, _OUTSIDE * count) and corners >= _CORNERS * count:
        raise DataError(
            f"boxes: expected x, y, width, height, found x1, y1, x2, y2: as corners {corners:,} "
            f"of {count:,} boxes are in their image, as width and height {outside:,} leave "
            "it; replace x2 and y2 by x2 - x1 and y2 - y1"
        )


def _are_fractions(positions: Iterable[Sequence[float]]) -> bool:
    """Return whether no number is above 1, and one above 0."""
    highest = 0.0
    for numbers in positions:
        highest = max(highest, *numbers)
        if highest > 1:
            return False
    return highest > 0
