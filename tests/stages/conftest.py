"""Files of torchvision's detectors, to start from."""

from published_files import published, published_file  # noqa: F401
