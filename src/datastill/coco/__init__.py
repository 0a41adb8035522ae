"""COCO JSON, in memory and on disk."""
