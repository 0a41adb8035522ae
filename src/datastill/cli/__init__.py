"""The command line: a command per stage, and those that look at what the stages left behind."""

from datastill.cli import own_data, results, stages  # in the order of the help
from datastill.cli.application import app, main

__all__ = ["app", "main", "own_data", "results", "stages"]
