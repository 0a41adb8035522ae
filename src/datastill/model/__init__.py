"""Detectors, and their raw output as Instances."""
