"""The paper's tables and figures as numbers, shipped with the package."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import pandas as pd

from datastill.errors import DataError

METRICS = ("ap", "ap50", "ap75", "ap_medium", "ap_large")
BOX_METRICS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
KEYS = ("labelled", "unlabelled", "backbone", "iterations")
BACKBONE = "resnet50"  # used for our backbones that the paper does not have
ANY_LENGTH = 0  # for iterations, if the paper does not give them (section 6)

Key = tuple[str, str | None, str, int]  # the values of KEYS


def published(name: str) -> pd.DataFrame:
    """Return the numbers of one table or figure, such as "table1_keypoints"; AP in percent.

    All are on COCO val2017, single runs. Values that the paper leaves blank are NaN.
    Raises DataError, listing the known names, for any other.
    """
    folder = files("datastill.report") / "paper"
    names = sorted(entry.name.removesuffix(".csv") for entry in folder.iterdir())
    if name not in names:
        raise DataError(f"published numbers: expected one of {names}, found {name!r}")
    with (folder / f"{name}.csv").open() as file:
        return pd.read_csv(file)


@dataclass(frozen=True)
class Numbers:
    """The paper's metrics by training run; BACKBONE stands in for a backbone it does not have."""

    values: Mapping[Key, Mapping[str, float]]

    def of(self, key: Key) -> Mapping[str, float]:
        """Return the metrics of one training run, {} if the paper has none."""
        labelled, unlabelled, backbone, iterations = key
        known = {backbone for _, _, backbone, _ in self.values}
        sets = labelled, unlabelled, backbone if backbone in known else BACKBONE
        return self.values.get((*sets, iterations)) or self.values.get((*sets, ANY_LENGTH), {})


def numbers(table: pd.DataFrame | None) -> Numbers:
    """Index a published table with the columns KEYS and metrics; None has no numbers at all.

    If it does not give the iterations, its numbers apply to any number of them.
    """
    values = {}
    for line in [] if table is None else table.to_dict("records"):
        record = {"iterations": ANY_LENGTH, **line}
        labelled, unlabelled, backbone, iterations = (record[name] for name in KEYS)
        key = labelled, None if pd.isna(unlabelled) else unlabelled, backbone, iterations
        values[key] = {name: float(record[name]) for name in BOX_METRICS if name in record}
    return Numbers(values)
