"""Faults of annotated sets that do not prevent training."""

from datastill.coco.format import Coco, Record

_MARGIN = 1.0  # pixels by which COCO's own boxes and keypoints exceed an image


def lint(coco: Coco) -> list[str]:
    """Return a sentence per kind of fault, with its count and its first occurrence."""
    faults = []
    sizes = {image["id"]: (image["width"], image["height"]) for image in coco.images}
    for name, points in (("boxes", _corners), ("keypoints", _marked)):
        if outside := [a for a in coco.annotations if _leave(points(a), sizes[a["image_id"]])]:
            first = f"{outside[0]['id']} on image {outside[0]['image_id']}"
            text = f"{len(outside)} annotations have {name} outside their image, such as {first}"
            faults.append(text)
    return faults


def _leave(points: list[tuple[float, float]], size: tuple[int, int]) -> bool:
    (width, height), low = size, -_MARGIN
    return any(x < low or y < low or x > width + _MARGIN or y > height + _MARGIN for x, y in points)


def _corners(annotation: Record) -> list[tuple[float, float]]:
    x, y, width, height = annotation["bbox"]
    return [(x, y), (x + width, y + height)]


def _marked(annotation: Record) -> list[tuple[float, float]]:
    points = zip(*[iter(annotation.get("keypoints") or ())] * 3, strict=True)
    return [(x, y) for x, y, v in points if v > 0]
