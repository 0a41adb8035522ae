"""What the tests of this folder share."""

from small_detector import detector, in_memory, listed, noise, swap, table  # noqa: F401
