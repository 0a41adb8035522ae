"""Pixels: reading, listing and comparing image files."""
