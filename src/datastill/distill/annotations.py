"""Candidates become generated annotations (section 4), and every one keeps its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datastill.coco.format import Record
from datastill.distill.shards import SCHEMA, lists, rows
from datastill.distill.thresholds import Flags, Selection, keypoint_array
from datastill.io import atomic

EVIDENCE = pa.schema(
    [
        *SCHEMA,
        pa.field("rule", pa.string()),  # that decided, by its name in the params
        pa.field("threshold", pa.float64()),  # in force for the score, infinite if none will do
        pa.field("accepted", pa.bool_()),
        pa.field("ignored", pa.bool_()),  # not accepted, and no background either
        pa.field("kept", pa.list_(pa.bool_())),  # k: the keypoints that are part of the annotation
    ]
)


def with_verdicts(candidates: pa.Table, selection: Selection, rule: str) -> pa.Table:
    """Return candidates with EVIDENCE's columns: what was decided about each, and why."""
    accepted = selection.keeps(candidates)
    probabilities, agreeing = keypoint_array(candidates)[..., 2], rows(candidates["agreeing"])
    kept = selection.keeps_keypoints(probabilities, agreeing) & accepted[:, None]
    verdicts = {
        "rule": np.full(len(accepted), rule, dtype=object),
        "threshold": selection.thresholds(candidates),
        "accepted": accepted,
        "ignored": selection.ignores(candidates),
        "kept": lists(kept),
    }
    columns = {name: candidates[name] for name in SCHEMA.names} | verdicts
    return pa.table(columns, schema=EVIDENCE)


_GROUP = 2_500  # candidates that are written together: few for memory
_REPEATED = ["image_id", "category_id", "views", "rule", "threshold", "accepted", "ignored"]


class EvidenceFile:
    """A Parquet file of all candidates and verdicts, written a group of tables at a time."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._waiting: list[pa.Table] = []

    @classmethod
    @contextmanager
    def create(cls, path: Path) -> Iterator[EvidenceFile]:
        """Yield the file that will be at `path` when the context ends without an error."""
        options = {"compression": "zstd", "use_dictionary": _REPEATED}
        with atomic(path) as partial, pq.ParquetWriter(partial, EVIDENCE, **options) as writer:
            file = cls(writer)
            yield file
            file._write()

    def add(self, judged: pa.Table) -> None:
        """Add a table of `with_verdicts`."""
        self._waiting.append(judged)
        if sum(map(len, self._waiting)) >= _GROUP:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting = []


def generate(tables: Iterable[pa.Table], area_shares: Mapping[int, float]) -> Iterator[Record]:
    """Yield hard annotations in the form of human ones, plus the `score` of each.

    `tables` are those of `with_verdicts`. The area of a box is that share of it which `area_shares`
    has by category id, all of it where it has none. What is ignored takes the form of a crowd:
    nobody has to find it, and it is no background.
    """
    number = 0
    for table in tables:
        mine = table.filter(pc.or_(table["accepted"], table["ignored"]))
        fields = _fields(mine, area_shares) if len(mine) else {}
        for values in zip(*fields.values(), strict=True):
            number += 1
            yield dict(zip(("id", *fields), (number, *values), strict=True))


def _fields(judged: pa.Table, area_shares: Mapping[int, float]) -> dict[str, list[Any]]:
    """Return the fields of an annotation, each with its value for every row of `judged`."""
    boxes, kept = rows(judged["box"]), rows(judged["kept"])
    categories = judged["category_id"].to_pylist()
    xywh = rounded(np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]), 2)
    shares = np.array([area_shares.get(category, 1.0) for category in categories])
    fields = {
        "image_id": judged["image_id"].to_pylist(),
        "category_id": categories,
        "iscrowd": judged["ignored"].to_numpy().astype(int).tolist(),
        "score": rounded(judged["score"].to_numpy(), 4).tolist(),
        "bbox": xywh.tolist(),
        "area": rounded(xywh[:, 2] * xywh[:, 3] * shares, 2).tolist(),
    }
    if kept.shape[1]:
        fields["keypoints"] = _keypoints(keypoint_array(judged), kept)
        fields["num_keypoints"] = kept.sum(axis=1).tolist()
    return fields


def _keypoints(points: NDArray[np.float64], kept: Flags) -> list[list[float]]:
    """Return x, y, v of the keypoints (n, k, 3): 0, 0, 0 but for those `kept` (n, k)."""
    values = np.zeros(points.shape, dtype=object)  # integers beside floats, as COCO writes them
    marked = points[kept].astype(object)
    marked[:, :2], marked[:, 2] = rounded(points[kept, :2], 2), 2
    values[kept] = marked
    return values.reshape(len(values), -1).tolist()


def rounded(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """Return what `round` makes of each of `values`, below 1e9 in size.

    It goes by the exact value; np.round multiplies first, and makes a tie of what is none.
    """
    scale = 10.0**digits
    scaled = values * scale
    found = np.rint(scaled) / scale
    near_tie = np.abs(scaled - np.floor(scaled) - 0.5) < 1e-5
    found[near_tie] = [round(value, digits) for value in values[near_tie].tolist()]
    return found
