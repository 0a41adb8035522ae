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
        """Return the metrics of one training run, {} if the paper has none.

        If the paper trains on these sets for one number of iterations only, it applies to any.
        """
        lengths = self._by_length(key)
        only = next(iter(lengths.values())) if len(lengths) == 1 else {}
        return lengths.get(key[-1], only)

    def has_length(self, key: Key) -> bool:
        """Return whether the paper has this training run with this number of iterations."""
        return key[-1] in self._by_length(key)

    def _by_length(self, key: Key) -> Mapping[int, Mapping[str, float]]:
        known = {backbone for _, _, backbone, _ in self.values}
        sets = key[0], key[1], key[2] if key[2] in known else BACKBONE
        return {each[-1]: metrics for each, metrics in self.values.items() if each[:-1] == sets}


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
