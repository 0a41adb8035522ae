"""What the tests of this folder share."""

from small_detector import detector, flip_indices, in_memory, listed, noise, table  # noqa: F401
