"""Candidates become generated annotations (section 4), and every one keeps its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datastill.data.coco import Record
from datastill.distill.select import Flags, Selection
from datastill.distill.shards import SCHEMA

EVIDENCE = pa.schema(
    [
        *SCHEMA,
        pa.field("threshold", pa.float64()),  # in force for the score
        pa.field("accepted", pa.bool_()),
        pa.field("kept", pa.list_(pa.bool_())),  # k: the keypoints that are part of the annotation
    ]
)


def with_verdicts(candidates: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """Return candidates with EVIDENCE's columns: what was decided about each, and why."""
    accepted = selection.keeps(candidates["score"].to_numpy())
    kept: list[Any] = [
        selection.keeps_keypoints(np.asarray(points)[2::3], np.asarray(agreeing)) & is_kept
        for points, agreeing, is_kept in zip(
            candidates["keypoints"], candidates["agreeing"], accepted, strict=True
        )
    ]
    return candidates.assign(threshold=selection.instance.value, accepted=accepted, kept=kept)


class EvidenceFile:
    """A Parquet file of all candidates and verdicts: written bit by bit, there when whole."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._partial = path, path.with_name(path.name + ".partial")
        self._writer = pq.ParquetWriter(self._partial, EVIDENCE, compression="zstd")

    def add(self, judged: pd.DataFrame) -> None:
        """Add a table of `with_verdicts`."""
        self._writer.write_table(pa.Table.from_pandas(judged, EVIDENCE, preserve_index=False))

    def close(self) -> None:
        """Put the finished file in its place."""
        self._writer.close()
        self._partial.replace(self._path)


def generate(tables: Iterable[pd.DataFrame], category: int, area_share: float) -> Iterator[Record]:
    """Yield hard annotations in the form of human ones, plus the `score` of each.

    `tables` are those of `with_verdicts`. A box's area is `area_share` of it.
    """
    number = 0
    for table in tables:
        columns = ("image_id", "score", "box", "keypoints", "kept")
        accepted = table[table["accepted"]]
        for image_id, score, box, keypoints, kept in zip(*map(accepted.get, columns), strict=True):
            number += 1
            yield {
                "id": number,
                "image_id": int(image_id),
                "category_id": category,
                "iscrowd": 0,
                "score": round(float(score), 4),
                **_box(box, area_share),
                **_keypoints(np.asarray(keypoints).reshape(-1, 3), kept),
            }


def _box(box: Sequence[float], area_share: float) -> Record:
    x1, y1, x2, y2 = map(float, box)
    xywh = [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)]
    return {"bbox": xywh, "area": round(xywh[2] * xywh[3] * area_share, 2)}


def _keypoints(points: NDArray[np.float64], kept: Flags) -> Record:
    flat: list[float] = []
    for (x, y, _), is_kept in zip(points.tolist(), kept, strict=True):
        flat += [round(x, 2), round(y, 2), 2] if is_kept else [0, 0, 0]
    return {"keypoints": flat, "num_keypoints": sum(v > 0 for v in flat[2::3])}
