"""Generated annotations (section 4), and the evidence for every decision."""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datastill.coco.format import Record
from datastill.coco.results import rounded, to_records, xywh
from datastill.distill.shards import SCHEMA, to_list_column, to_matrix
from datastill.distill.thresholds import Flags, Selection, keypoint_array
from datastill.io import atomic

EVIDENCE = pa.schema(
    [
        *SCHEMA,
        pa.field("rule", pa.string()),  # the rule for instances, by its name in the params
        pa.field("threshold", pa.float64()),  # for the score, infinite if none is wanted
        pa.field("accepted", pa.bool_()),
        pa.field("ignored", pa.bool_()),  # neither accepted nor background
        pa.field("kept", pa.list_(pa.bool_())),  # k: whether a keypoint is part of the annotation
    ]
)


def with_verdicts(candidates: pa.Table, selection: Selection, rule: str) -> pa.Table:
    """Return candidates with EVIDENCE's columns: the decision about each, and why."""
    accepted = selection.keeps(candidates)
    probabilities, agreeing = keypoint_array(candidates)[..., 2], to_matrix(candidates["agreeing"])
    kept = selection.keeps_keypoints(probabilities, agreeing) & accepted[:, None]
    verdicts = {
        "rule": np.full(len(accepted), rule, dtype=object),
        "threshold": selection.thresholds(candidates),
        "accepted": accepted,
        "ignored": selection.ignores(candidates),
        "kept": to_list_column(kept),
    }
    columns = {name: candidates[name] for name in SCHEMA.names} | verdicts
    return pa.table(columns, schema=EVIDENCE)


_GROUP = 2_500  # candidates per write: few for memory
_BATCH = 250  # annotations that exist as Python's numbers: several kilobytes each
_REPEATED = ["image_id", "category_id", "views", "rule", "threshold", "accepted", "ignored"]


class EvidenceFile:
    """A Parquet file of all candidates and verdicts, written a group of tables at a time."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer, self._pending = writer, list[pa.Table]()

    @classmethod
    @contextmanager
    def create(cls, path: Path) -> Iterator[Self]:
        """Yield the file that will be at `path` when the context ends without an error."""
        options = {"compression": "zstd", "use_dictionary": _REPEATED}
        with atomic(path) as partial, pq.ParquetWriter(partial, EVIDENCE, **options) as writer:
            file = cls(writer)
            yield file
            file._write()

    def add(self, verdicts: pa.Table) -> pa.Table:
        """Add a table of `with_verdicts`, and return it."""
        self._pending.append(verdicts)
        if sum(map(len, self._pending)) >= _GROUP:
            self._write()
        return verdicts

    def _write(self) -> None:
        if self._pending:
            self._writer.write_table(pa.concat_tables(self._pending))
        self._pending = []


def generate(tables: Iterable[pa.Table], area_shares: Mapping[int, float]) -> Iterator[Record]:
    """Yield hard annotations in the form of human ones, plus the `score` of each.

    An ignored candidate becomes a crowd: a detector need not find it, yet it is not background.

    tables       of `with_verdicts`
    area_shares  annotated area over box area by category id; 1 for other categories
    """
    numbers = count(1)
    for table in tables:
        annotated = table.filter(pc.or_(table["accepted"], table["ignored"]))
        for start in range(0, len(annotated), _BATCH):
            fields = _fields(annotated.slice(start, _BATCH), area_shares)
            yield from ({"id": next(numbers), **record} for record in to_records(fields))


def _fields(verdicts: pa.Table, area_shares: Mapping[int, float]) -> dict[str, list[Any]]:
    """Return the fields of annotations, each with its values for the rows of `verdicts`."""
    kept, categories = to_matrix(verdicts["kept"]), verdicts["category_id"].to_pylist()
    bbox = rounded(xywh(to_matrix(verdicts["box"])).astype(np.float64), 2)
    shares = np.array([area_shares.get(category, 1.0) for category in categories])
    fields = {
        "image_id": verdicts["image_id"].to_pylist(),
        "category_id": categories,
        "iscrowd": verdicts["ignored"].to_numpy().astype(int).tolist(),
        "score": rounded(verdicts["score"].to_numpy(), 4).tolist(),
        "bbox": bbox.tolist(),
        "area": rounded(bbox[:, 2] * bbox[:, 3] * shares, 2).tolist(),
    }
    if kept.shape[1]:
        fields["keypoints"] = _keypoints(keypoint_array(verdicts), kept)
        fields["num_keypoints"] = kept.sum(axis=1).tolist()
    return fields


def _keypoints(points: NDArray[np.float64], kept: Flags) -> list[list[float]]:
    """Return x, y, v of the keypoints (n, k, 3): 0, 0, 0 unless `kept` (n, k)."""
    values = np.zeros(points.shape, dtype=object)  # integers beside floats, as COCO writes them
    marked = points[kept].astype(object)
    marked[:, :2], marked[:, 2] = rounded(points[kept, :2], 2), 2
    values[kept] = marked
    return values.reshape(len(values), -1).tolist()


@dataclass
class Tally:
    """Counts of the annotations written, and the `records` of some images.

    image_ids  of every instance; Python's integers would take four times more
    """

    ignored: int = 0
    keypoints: int = 0
    image_ids: "array[int]" = field(default_factory=lambda: array("q"))
    records: list[Record] = field(default_factory=list)

    @property
    def instances(self) -> int:
        return len(self.image_ids)

    def counted(self, records: Iterator[Record], remembered: set[int]) -> Iterator[Record]:
        """Yield `records`; keep those on images of the ids `remembered`."""
        for record in records:
            self.ignored += record["iscrowd"]
            self.keypoints += record.get("num_keypoints", 0)
            if not record["iscrowd"]:
                self.image_ids.append(record["image_id"])
            if record["image_id"] in remembered:
                self.records.append(record)
            yield record
