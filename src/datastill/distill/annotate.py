"""A teacher looks at unlabelled images (section 4), shard by shard, whatever may interrupt it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import Tensor

from datastill.data.coco import Record
from datastill.data.images import Refusal, image_path, load_image
from datastill.distill.predict import Found, Inference, look
from datastill.distill.shards import SCHEMA, Shard
from datastill.errors import DataError
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
    shard.write(_rows(records, found), refused)


def _rows(images: Sequence[Record], found: Sequence[Found]) -> pd.DataFrame:
    """Return a line per instance, in the order of the images."""
    rows = [
        row
        for image, each in zip(images, found, strict=True)
        for row in zip(
            [image["id"]] * len(each.instances),
            each.instances.scores.tolist(),
            each.instances.boxes.tolist(),
            each.instances.keypoints.flatten(1).tolist(),
            each.evidence.spread.tolist(),
            each.evidence.agreeing.tolist(),
            strict=True,
        )
    ]
    return pd.DataFrame(rows, columns=SCHEMA.names)
