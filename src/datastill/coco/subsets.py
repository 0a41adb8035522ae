"""Subsets and unions of annotated image sets (section 5.1)."""

from collections.abc import Sequence

from datastill.coco.format import Coco, Record
from datastill.errors import DataError


def subset(coco: Coco, images: Sequence[Record]) -> Coco:
    """Return `coco` with only these of its `images` and their annotations."""
    kept = {image["id"] for image in images}
    annotations = [a for a in coco.annotations if a["image_id"] in kept]
    return Coco(images, annotations, coco.categories)


def trainable(coco: Coco, task: str, *, negatives: str = "drop") -> Coco:
    """Return only the images to train on: those with an annotated object that is not a crowd.

    As in Detectron; for keypoints, at least one must be annotated, as in Mask R-CNN. With
    `negatives` "keep", those without any annotation, too: all of each is background.
    """
    objects = (a for a in coco.annotations if not a.get("iscrowd"))
    kept = {a["image_id"] for a in objects if task == "boxes" or a["num_keypoints"]}
    if negatives == "keep":
        kept |= {image["id"] for image in coco.images} - {a["image_id"] for a in coco.annotations}
    return subset(coco, [image for image in coco.images if image["id"] in kept])


def union(parts: Sequence[Coco]) -> Coco:
    """Return the images and annotations of all `parts`; raises DataError if they share ids."""
    for section in ("images", "annotations"):
        seen: set[int] = set()
        for part in parts:
            ids = {record["id"] for record in getattr(part, section)}
            if shared := seen & ids:
                text = f"two {section} of a union have the id {min(shared)}"
                raise DataError(f"{text}; renumber one of its sets")
            seen |= ids
    images = [image for part in parts for image in part.images]
    annotations = [annotation for part in parts for annotation in part.annotations]
    return Coco(images, annotations, parts[0].categories)
