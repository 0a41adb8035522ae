"""What the tests of this folder share."""

from measured_results import (  # noqa: F401
    ap_of_images,
    as_published,
    paper,
    result,
    student,
    teacher,
    truth_of_20,
    unions,
)
