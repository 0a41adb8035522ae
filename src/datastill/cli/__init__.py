"""The command line: own data, the pipeline's stages, and queries of its results."""

from datastill.cli import own_data, pipeline, results  # in the order of the help
from datastill.cli.application import app, main

__all__ = ["app", "main", "own_data", "pipeline", "results"]
