"""params.yaml, checked: one frozen section per stage, no unknown keys, no defaults."""

from datastill.project.data import (
    AnnotatedImages,
    DrawnData,
    DrawnImages,
    FileData,
    ImageFolder,
    PartOfImages,
    Union,
    Videos,
)
from datastill.project.loading import load_expected, load_params, read_yaml
from datastill.project.rows import Ablation, Backbone, DistilledRow, SupervisedRow
from datastill.project.schema import Initial, Params
from datastill.project.seeds import with_seeds

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
