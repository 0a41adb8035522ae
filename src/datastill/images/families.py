"""Families of images: frames of one video and near-duplicates, which are one observation."""

from collections import Counter

import pandas as pd

from datastill.coco.format import Coco
from datastill.images.splits import duplicate_groups


def mark_families(coco: Coco, manifest: pd.DataFrame) -> Coco:
    """Return `coco`, where images of a family of several have the first one's id as `family`.

    A family are images of equal bytes, near-duplicates and those with the same `video`, also
    through other images. `manifest` has `digest` and `likeness` by `file_name`.
    """
    known = manifest.set_index("file_name").loc[[image["file_name"] for image in coco.images]]
    videos = [image.get("video") for image in coco.images]
    first = duplicate_groups(known["digest"].tolist(), known["likeness"].tolist(), videos)
    sizes = Counter(first)
    images = [
        {**image, "family": coco.images[head]["id"]} if sizes[head] > 1 else image
        for image, head in zip(coco.images, first, strict=True)
    ]
    return Coco(images, coco.annotations, coco.categories)
