"""What the tests of this folder share."""

from coco_content import coco, person, write_images  # noqa: F401
