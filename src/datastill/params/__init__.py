"""params.yaml, checked: one frozen section per stage, no unknown keys, no defaults."""

from datastill.params.data import (
    AnnotatedImages,
    DrawnData,
    DrawnImages,
    FileData,
    ImageFolder,
    PartOfImages,
    Union,
    Videos,
)
from datastill.params.loading import load_expected, load_params, read_yaml
from datastill.params.rows import Ablation, Backbone, DistilledRow, SupervisedRow
from datastill.params.sections import Initial, Params
from datastill.params.seeding import with_seeds

__all__ = [
    "Ablation",
    "AnnotatedImages",
    "Backbone",
    "DistilledRow",
    "DrawnData",
    "DrawnImages",
    "FileData",
    "ImageFolder",
    "Initial",
    "Params",
    "PartOfImages",
    "SupervisedRow",
    "Union",
    "Videos",
    "load_expected",
    "load_params",
    "read_yaml",
    "with_seeds",
]
