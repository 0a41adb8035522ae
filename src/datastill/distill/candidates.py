"""A teacher looks at unlabelled images (section 4), shard by shard, whatever may interrupt it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from datastill.coco.format import Record
from datastill.distill.shards import SCHEMA, Shard, lists
from datastill.errors import DataError
from datastill.images.load import Refusal, image_path, load_image
from datastill.inference.multi_transform import Inference, Prediction, look
from datastill.model.detector import Detector

_Loaded = tuple[list[Record], list[Tensor], list[Refusal]]


@dataclass(frozen=True)
class Teacher:
    """A trained detector and how it looks at unlabelled images."""

    detector: Detector
    inference: Inference


def find_candidates(
    teacher: Teacher, shards: Sequence[Shard], root: Path, advance: Callable[[int], None]
) -> None:
    """Write the candidates of every shard that has none yet; images are read one shard ahead.

    Images that cannot be read are listed in their shard. `advance` hears of how many images are
    done, without those of an earlier run.
    """
    todo = [shard for shard in shards if not shard.is_done]
    for shard, loaded in zip(todo, _ahead(todo, root), strict=True):
        if not shard.is_done:  # by another row of this teacher, meanwhile
            annotate_shard(teacher, shard, loaded)
        advance(len(shard.images))


def _ahead(shards: Sequence[Shard], root: Path) -> Iterator[_Loaded]:
    with ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(load, shard, root) for shard in shards[:1])
        for shard in shards[1:]:
            coming.append(pool.submit(load, shard, root))
            yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def load(shard: Shard, root: Path) -> _Loaded:
    """Read the images of a shard: their records, their pixels, and those that cannot be read.

    Raises DataError where a file name leaves `root`.
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
    """Let the teacher look at the images of a shard and write what it finds."""
    records, pixels, refused = loaded
    found = look(teacher.detector, pixels, teacher.inference)
    shard.write(_table(records, found), refused)


def _table(images: Sequence[Record], found: Sequence[Prediction]) -> pa.Table:
    """Return a line per instance, in the order of the images."""
    if not found:
        return SCHEMA.empty_table()
    counts = [len(each.instances) for each in found]
    columns = [
        np.repeat([image["id"] for image in images], counts),
        _joined([each.instances.labels for each in found]),
        _joined([each.instances.scores for each in found]),
        lists(_joined([each.instances.boxes for each in found])),
        lists(_joined([each.instances.keypoints.flatten(1) for each in found])),
        lists(_joined([each.evidence.spread for each in found])),
        lists(_joined([each.evidence.agreeing for each in found])),
        _joined([each.evidence.views for each in found]),
        _joined([each.evidence.box_spread for each in found]),
    ]
    return pa.Table.from_arrays(
        [pa.array(column).cast(field.type) for column, field in zip(columns, SCHEMA, strict=True)],
        schema=SCHEMA,
    )


def _joined(parts: Sequence[Tensor]) -> NDArray[Any]:
    return torch.cat([part.cpu() for part in parts]).numpy()
