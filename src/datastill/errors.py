"""Errors a user can act on; the CLI prints their text and exits 1."""


class DatastillError(Exception):
    """Base of every error this package raises on purpose."""


class ParamsError(DatastillError):
    """params.yaml does not say what a stage needs."""


class DataError(DatastillError):
    """An input file or array is not what its format promises."""


class TrainingError(DatastillError):
    """A training cannot start, go on or resume."""
