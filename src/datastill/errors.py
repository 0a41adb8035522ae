"""Errors that a user can act on; the command line prints their text and exits with 1."""

WRONG_VALUES = (
    ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError,
)  # fmt: skip  # raised where a record holds values that no stage writes


class DatastillError(Exception):
    """Base class of all errors that datastill raises."""


class ParamsError(DatastillError):
    """params.yaml or an option lacks what a command needs."""


class DataError(DatastillError):
    """An input file or array violates its format."""


class TrainingError(DatastillError):
    """A training run cannot start, proceed or resume."""
