"""What the tests of this folder share."""

from finished_runs import finished  # noqa: F401
from measured_results import result, truth_of_20  # noqa: F401
from untrained_run import _finished_project, untrained  # noqa: F401
