"""The miniature with results, for commands that compare results."""

from measured_seeds import clone  # noqa: F401
