"""Detectors, and their raw output as Instances."""

from datastill.model.quick import without_compiler

with without_compiler():
    import torchvision  # noqa: F401  before any module of this package takes its parts
