"""A teacher's candidates become generated annotations as dense as human ones (section 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datastill.data.coco import Coco, Record
from datastill.data.images import load_image
from datastill.distill.predict import Inference, predict
from datastill.distill.select import Threshold, matching_threshold
from datastill.errors import DataError
from datastill.instances import Instances
from datastill.model.detector import Detector

SHARD = 32  # images per file of candidates: what a kill can cost


@dataclass(frozen=True)
class Teacher:
    """A trained detector and how it looks at unlabelled images."""

    detector: Detector
    inference: Inference


@dataclass(frozen=True)
class Density:
    """How people annotate: what generated annotations are matched to.

    instances_per_image, keypoints_per_instance   means over a labelled set
    area_share                                    mean of annotated area over box area
    """

    instances_per_image: float
    keypoints_per_instance: float
    area_share: float


@dataclass(frozen=True)
class Selection:
    """The two thresholds in force: on detection scores and on keypoint probabilities."""

    instance: Threshold
    keypoint: Threshold


def density(labelled: Coco) -> Density:
    """Return the densities of a labelled set; crowds and people without keypoints do not count.

    Raises DataError where nothing is annotated.
    """
    people = [a for a in labelled.annotations if a["num_keypoints"] and not a.get("iscrowd")]
    if not people:
        raise DataError("the labelled set has no instance with keypoints to match")
    shares = [a["area"] / (a["bbox"][2] * a["bbox"][3]) for a in people]
    return Density(
        instances_per_image=len(people) / len(labelled.images),
        keypoints_per_instance=float(np.mean([a["num_keypoints"] for a in people])),
        area_share=float(np.mean(shares)),
    )


def find_candidates(
    teacher: Teacher,
    images: Sequence[Record],
    root: Path,
    shards: Path,
    advance: Callable[[int], None],
) -> pd.DataFrame:
    """Predict every image and return all candidates, one row each, in the order of the images.

    Columns: image_id, score, box (x1, y1, x2, y2), keypoints (x, y, probability) * k. Each shard of
    images is written whole to the folder `shards` (named for teacher, views and images), so that
    a killed run goes on where it was. `advance` hears how many images are done.
    """
    parts = []
    for start in range(0, len(images), SHARD):
        chunk = images[start : start + SHARD]
        path = shards / f"{start:07d}+{len(chunk)}.parquet"
        if not path.is_file():
            pixels = [load_image(root, image) for image in chunk]
            found = predict(teacher.detector, pixels, teacher.inference)
            _write_parquet(path, _rows(chunk, found))
        parts.append(pd.read_parquet(path))
        advance(len(chunk))
    return pd.concat(parts, ignore_index=True)


def _rows(images: Sequence[Record], found: Sequence[Instances]) -> pd.DataFrame:
    rows = [
        (image["id"], score, box, points)
        for image, instances in zip(images, found, strict=True)
        for score, box, points in zip(
            instances.scores.tolist(),
            instances.boxes.tolist(),
            instances.keypoints.flatten(1).tolist(),
            strict=True,
        )
    ]
    table = pd.DataFrame(rows, columns=["image_id", "score", "box", "keypoints"])
    return table.astype({"image_id": "int64", "score": "float64"})


def _write_parquet(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    table.to_parquet(partial, index=False)
    Path(partial).replace(path)


def select(candidates: pd.DataFrame, images: int, wanted: Density) -> Selection:
    """Return the paper's two thresholds for the candidates of that many `images`.

    Keypoints are counted over the instances that the first threshold keeps, all types together.
    Raises DataError where there is no candidate at all.
    """
    if candidates.empty:
        raise DataError(
            f"the teacher found nothing in {images} images; train it longer or check the images"
        )
    scores = candidates["score"].to_numpy()
    instance = matching_threshold(scores, round(wanted.instances_per_image * images))
    kept = keypoint_array(candidates[scores >= instance.value])
    keypoint = matching_threshold(
        kept[..., 2].ravel().astype(np.float64), round(wanted.keypoints_per_instance * len(kept))
    )
    return Selection(instance, keypoint)


def keypoint_array(candidates: pd.DataFrame) -> NDArray[np.float64]:
    """Return the keypoints of `candidates` as (n, k, 3): x, y, probability."""
    return np.stack(candidates["keypoints"].to_list()).reshape(len(candidates), -1, 3)


def generate(
    candidates: pd.DataFrame, selection: Selection, unlabelled: Coco, area_share: float
) -> Coco:
    """Return hard annotations in the form of human ones, plus the `score` of each."""
    kept = candidates[candidates["score"] >= selection.instance.value]
    annotations = [
        {
            "id": number,
            "image_id": int(image_id),
            "category_id": unlabelled.categories[0]["id"],
            "iscrowd": 0,
            "score": round(float(score), 4),
            **_box(box, area_share),
            **_keypoints(np.asarray(keypoints).reshape(-1, 3), selection.keypoint.value),
        }
        for number, (image_id, score, box, keypoints) in enumerate(
            kept.itertuples(index=False, name=None), start=1
        )
    ]
    return Coco(unlabelled.images, annotations, unlabelled.categories)


def _box(box: Sequence[float], area_share: float) -> Record:
    x1, y1, x2, y2 = map(float, box)
    xywh = [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)]
    return {"bbox": xywh, "area": round(xywh[2] * xywh[3] * area_share, 2)}


def _keypoints(points: NDArray[np.float64], threshold: float) -> Record:
    flat: list[float] = []
    for x, y, probability in points.tolist():
        flat += [round(x, 2), round(y, 2), 2] if probability >= threshold else [0, 0, 0]
    return {"keypoints": flat, "num_keypoints": sum(v > 0 for v in flat[2::3])}
