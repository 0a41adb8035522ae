"""The miniature with results, for commands that compare results."""

from claimed_results import committed, pages  # noqa: F401
from coco_content import coco, person  # noqa: F401
from file_server import web  # noqa: F401
from measured_seeds import clone  # noqa: F401
