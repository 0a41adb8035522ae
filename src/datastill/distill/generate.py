"""Candidates become generated annotations (section 4), and every one keeps its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datastill.data.coco import Record
from datastill.distill.select import Selection, keypoint_array
from datastill.distill.shards import SCHEMA, lists, rows

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


_GROUP = 20_000  # candidates that are written together


class EvidenceFile:
    """A Parquet file of all candidates and verdicts: written bit by bit, there when whole."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._partial = path, path.with_name(path.name + ".partial")
        self._writer = pq.ParquetWriter(self._partial, EVIDENCE, compression="zstd")
        self._waiting: list[pa.Table] = []

    def add(self, judged: pa.Table) -> None:
        """Add a table of `with_verdicts`."""
        self._waiting.append(judged)
        if sum(map(len, self._waiting)) >= _GROUP:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting = []

    def close(self) -> None:
        """Put the finished file in its place."""
        self._write()
        self._writer.close()
        self._partial.replace(self._path)


def generate(tables: Iterable[pa.Table], area_shares: Mapping[int, float]) -> Iterator[Record]:
    """Yield hard annotations in the form of human ones, plus the `score` of each.

    `tables` are those of `with_verdicts`. The area of a box is that share of it which `area_shares`
    has by category id, all of it where it has none. What is ignored takes the form of a crowd:
    nobody has to find it, and it is no background.
    """
    number = 0
    for table in tables:
        mine = table.filter(pc.or_(table["accepted"], table["ignored"]))
        kept, points = rows(mine["kept"]), keypoint_array(mine)
        boxes = rows(mine["box"])
        plain = mine.select(["image_id", "category_id", "score", "ignored"])
        for i, (image_id, category, score, ignored) in enumerate(
            zip(*plain.to_pydict().values(), strict=True)
        ):
            number += 1
            yield {
                "id": number,
                "image_id": image_id,
                "category_id": category,
                "iscrowd": int(ignored),
                "score": round(score, 4),
                **_box(boxes[i].tolist(), area_shares.get(category, 1.0)),
                **(_keypoints(points[i].tolist(), kept[i].tolist()) if kept.shape[1] else {}),
            }


def _box(box: Sequence[float], area_share: float) -> Record:
    x1, y1, x2, y2 = box
    xywh = [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)]
    return {"bbox": xywh, "area": round(xywh[2] * xywh[3] * area_share, 2)}


def _keypoints(points: Sequence[Sequence[float]], kept: Sequence[bool]) -> Record:
    flat: list[float] = []
    for (x, y, _), is_kept in zip(points, kept, strict=True):
        flat += [round(x, 2), round(y, 2), 2] if is_kept else [0, 0, 0]
    return {"keypoints": flat, "num_keypoints": sum(kept)}
