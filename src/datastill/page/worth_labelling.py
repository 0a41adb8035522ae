"""The unlabelled images most worth labelling."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from datastill.coco.format import Coco, Record
from datastill.images.perceptual_hash import repeats
from datastill.page.blocks import Entry, Gallery, Group, Picture, Text, coco_download
from datastill.page.evidence_reader import as_result, read_candidates
from datastill.page.finished_run import SAMPLED, FinishedRun
from datastill.page.pictures import thumbnail, window

_SHOWN, _EXPORTED = 12, 200  # pictures, images of a download


def worth_labelling(run: FinishedRun) -> Iterator[Group]:
    """Yield the images most worth labelling of each unlabelled set without known labels."""
    for setting in {s.unlabelled: s for s in run.settings}.values():
        sample, total = run.sample(setting.unlabelled)
        path = run.files.evidence(setting.student)
        if not path.is_file() or (sample.annotations and not run.drawn):
            continue
        by_image: dict[int, list[Record]] = {image["id"]: [] for image in sample.images}
        for candidate in read_candidates(path, by_image):
            by_image[candidate["image_id"]].append(candidate)
        images = sorted(sample.images, key=lambda image: -_worth(by_image[image["id"]]))
        images = images[: 4 * _EXPORTED]
        hashes = run.manifest_column("likeness", images)
        repeated = repeats([hashes.get(image["file_name"], "0" * 32) for image in images])
        images = [i for i, twin in zip(images, repeated, strict=True) if twin < 0][:_EXPORTED]
        title = (
            f"Most worth labelling of {setting.unlabelled}: {len(by_image):,} of {total:,} images"
        )
        yield Group(title, [*_worth_blocks(run, setting.unlabelled, images, by_image, sample)])


def _worth(candidates: Sequence[Record]) -> float:
    """Return how undecided the teacher is about an image: candidates near 0.5, views apart."""
    scores = np.array([c["score"] for c in candidates], dtype=float)
    apart = sum(c["disagreement"] for c in candidates if c["accepted"])
    return float((4 * scores * (1 - scores)).sum() + apart)


def _likely(candidates: Sequence[Record]) -> list[Record]:
    """Return the annotations of an image or, without any, its best candidate."""
    accepted = [c for c in candidates if c["accepted"]]
    return accepted or sorted(candidates, key=lambda c: -c["score"])[:1]


def _worth_blocks(
    run: FinishedRun, name: str, images: Sequence[Record], by_image: dict[int, list[Record]],
    sample: Coco,
) -> Iterator[Any]:  # fmt: skip
    yield Text(
        f"Of a fixed sample of at most {SAMPLED:,} images: those on which the teacher is most "
        "undecided, by scores between yes and no and by views that disagree; near-duplicates once."
    )
    entries = []
    for image in images[:_SHOWN]:
        shown = _likely(by_image[image["id"]])
        uri = thumbnail(
            run.files.images, image, shown, run.metadata, window(image, shown, run.metadata)
        )
        worth = _worth(by_image[image["id"]])
        entries.append(Entry([Picture(uri)], f"{worth:.1f}", image["file_name"]))
    yield Gallery("Most undecided", "Generated annotations; without any, the best candidate.",
                  entries)  # fmt: skip
    images = [image for image in images if _likely(by_image[image["id"]])]  # `merge` would take an
    # image without annotations for one without objects
    kept = [c for image in images for c in _likely(by_image[image["id"]])]
    annotations = [_annotation(number, c) for number, c in enumerate(kept, start=1)]
    content = {"images": images, "annotations": annotations, "categories": sample.categories}
    text = f"{len(images):,} images with the generated annotations as COCO, to correct"
    yield coco_download(f"to-label-{name}.json", text, content)


def _annotation(number: int, candidate: Record) -> Record:
    x, y, width, height = (round(value, 2) for value in candidate["bbox"])
    record = {"id": number, **as_result(candidate), "iscrowd": 0, "area": round(width * height, 2)}
    record |= {"bbox": [x, y, width, height], "score": round(candidate["score"], 4)}
    if points := record.get("keypoints"):
        marked = np.reshape(points, (-1, 3))
        marked[marked[:, 2] == 0] = 0
        record["keypoints"] = np.round(marked, 2).ravel().tolist()
        record["num_keypoints"] = int((marked[:, 2] > 0).sum())
    return record
