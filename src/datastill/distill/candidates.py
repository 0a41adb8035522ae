"""A teacher's inference on unlabelled images (section 4): shard by shard, and resumable."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from datastill.coco.format import Record
from datastill.distill.shards import SCHEMA, Shard, to_list_column
from datastill.errors import DataError
from datastill.images.load import Refusal, image_path, load_image
from datastill.inference.agreement import Prediction
from datastill.inference.multi_transform import run_views
from datastill.inference.views import Inference
from datastill.model.detector import Detector

_Loaded = tuple[list[Record], list[Tensor], list[Refusal]]


@dataclass(frozen=True)
class Teacher:
    """A trained detector, and how it predicts on unlabelled images."""

    detector: Detector
    inference: Inference


def find_candidates(
    teacher: Teacher, shards: Sequence[Shard], root: Path, advance: Callable[[int], None]
) -> None:
    """Write the candidates of every shard that has none yet; images are read one shard ahead.

    Images that cannot be read are listed in their shard. `advance` is called with the number of
    images of each shard written.
    """
    missing = [shard for shard in shards if not shard.is_done]
    for shard, loaded in zip(missing, _prefetched(missing, root), strict=True):
        if not shard.is_done:  # another row with this teacher may have written it meanwhile
            annotate_shard(teacher, shard, loaded)
        advance(len(shard.images))


def _prefetched(shards: Sequence[Shard], root: Path) -> Iterator[_Loaded]:
    with ThreadPoolExecutor(1) as pool:
        futures = deque(pool.submit(load, shard, root) for shard in shards[:1])
        for shard in shards[1:]:
            futures.append(pool.submit(load, shard, root))
            yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()


def load(shard: Shard, root: Path) -> _Loaded:
    """Return the records and pixels of a shard's images, and those that cannot be read.

    Raises DataError if a file name leaves `root`.
    """
    records: list[Record] = []
    pixels: list[Tensor] = []
    refused: list[Refusal] = []
    for record in shard.images:
        image_path(root, record["file_name"])
        try:
            pixels.append(load_image(root, record))
        except DataError as error:
            refused.append(Refusal(record["file_name"], str(error)))
        else:
            records.append(record)
    return records, pixels, refused


def annotate_shard(teacher: Teacher, shard: Shard, loaded: _Loaded) -> None:
    """Run the teacher on the images of a shard and write its candidates."""
    records, pixels, refused = loaded
    predictions = run_views(teacher.detector, pixels, teacher.inference)
    shard.write(_table(records, predictions), refused)


def _table(images: Sequence[Record], predictions: Sequence[Prediction]) -> pa.Table:
    """Return a row per instance, in the order of the images."""
    if not predictions:
        return SCHEMA.empty_table()
    instances, evidence = zip(*((p.instances, p.evidence) for p in predictions), strict=True)
    predicted = [(i.labels, i.scores, i.boxes, i.keypoints.flatten(1)) for i in instances]
    agreement = [(e.spread, e.agreeing, e.views, e.box_spread) for e in evidence]
    tensors = [*zip(*predicted, strict=True), *zip(*agreement, strict=True)]
    joined = [torch.cat([part.cpu() for part in parts]).numpy() for parts in tensors]
    ids = np.repeat([image["id"] for image in images], [*map(len, instances)])
    columns = [each if each.ndim == 1 else to_list_column(each) for each in (ids, *joined)]
    arrays = [pa.array(each).cast(field.type) for each, field in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
