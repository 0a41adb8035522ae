"""Command `new`: a profile of your own data."""
