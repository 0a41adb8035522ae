"""Drawn scenes and pictures with exact annotations."""
