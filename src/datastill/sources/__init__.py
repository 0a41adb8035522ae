"""Sources of image sets."""
