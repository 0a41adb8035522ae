"""Small images and COCO content to write, read and learn from."""

import numpy as np
import pytest
from PIL import Image

from datastill.coco.format import PERSON, Coco


def person_record(image_id, number, bbox, area, keypoints):
    """A COCO annotation of a person with these `keypoints` (17, 3): x, y, v."""
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "bbox": bbox,
        "area": area,
        "iscrowd": 0,
        "keypoints": np.ravel(keypoints).tolist(),
        "num_keypoints": int((np.asarray(keypoints)[:, 2] > 0).sum()),
    }


@pytest.fixture
def coco():
    """COCO content of one image per number in `ids`, 40 x 30 pixels, with `annotations`."""

    def build(ids, annotations=(), folder="a"):
        images = [
            {"id": i, "file_name": f"{folder}/{i}.png", "width": 40, "height": 30} for i in ids
        ]
        return Coco(images, list(annotations), [PERSON])

    return build


@pytest.fixture
def person():
    """One annotated person on image `image_id`, 10 x 20 pixels."""

    def build(image_id=1, number=1, **changes):
        points = np.column_stack([np.linspace(5, 15, 17), np.linspace(6, 26, 17), np.full(17, 2)])
        return person_record(image_id, number, [5.0, 6.0, 10.0, 20.0], 120.0, points) | changes

    return build


@pytest.fixture
def write_images():
    """Write every image of a set below `root` in one grey, which is its id."""

    def write(root, content):
        for image in content.images:
            path = root / image["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((image["height"], image["width"], 3), image["id"], np.uint8)
            Image.fromarray(pixels).save(path)

    return write
