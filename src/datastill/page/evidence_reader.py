"""A teacher's candidates from the evidence that a run leaves, read a group at a time."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datastill.coco.format import Record
from datastill.coco.results import xywh
from datastill.distill.shards import to_matrix
from datastill.distill.thresholds import keypoint_array

BINS = np.linspace(0, 1, 21)  # of scores
_BATCH = 4096  # candidates


def score_counts(path: Path) -> NDArray[np.int64]:
    """Return how many candidates score in each of BINS, of all images."""
    counts = np.zeros(len(BINS) - 1, dtype=np.int64)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH, columns=["score"]):
            counts += np.histogram(np.clip(batch["score"].to_numpy(), 0, 1), BINS)[0]
    return counts


def read_candidates(path: Path, images: Collection[int]) -> Iterator[Record]:
    """Yield the candidates in these images as annotations with "score", and more fields:

    accepted       whether it is an annotation
    disagreement   of the views: of keypoints the mean spread of the kept ones, in square roots of
                   the box's area; of boxes the mean 1 - IoU of the votes
    A rejected candidate's keypoints are all there, an annotation's only if kept.
    """
    ids = np.fromiter(images, dtype=np.int64)
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            table = table.filter(np.isin(table["image_id"].to_numpy(), ids))
            if len(table):
                yield from _records(table)


def _records(table: pa.Table) -> Iterator[Record]:
    boxes = xywh(to_matrix(table["box"])).tolist()
    points, kept = keypoint_array(table).copy(), to_matrix(table["kept"]).astype(bool)
    accepted = table["accepted"].to_numpy(zero_copy_only=False)
    ignored = table["ignored"].to_numpy(zero_copy_only=False)
    spread = to_matrix(table["spread"]).astype(float)
    disagreement = table["box_spread"].to_numpy().astype(float)
    if points.shape[1]:
        shown = kept | ~accepted[:, None]
        spread = np.where(shown, spread, 0).sum(axis=1) / np.maximum(shown.sum(axis=1), 1)
        disagreement = spread
        points[..., 2] = np.where(shown, 2, 0)
    rest = zip(table["image_id"].to_pylist(), table["category_id"].to_pylist(), strict=True)
    for index, (image, category) in enumerate(rest):
        yield {
            "image_id": image,
            "category_id": category,
            "iscrowd": int(ignored[index]),
            "bbox": boxes[index],
            "score": table["score"][index].as_py(),
            "accepted": bool(accepted[index]),
            "disagreement": float(disagreement[index]),
            **({"keypoints": points[index].ravel().tolist()} if points.shape[1] else {}),
        }


def as_result(candidate: Record) -> Record:
    """Return a candidate as a COCO result."""
    fields = ("image_id", "category_id", "score", "bbox", "keypoints")
    return {name: candidate[name] for name in fields if name in candidate}
