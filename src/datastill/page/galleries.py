"""Galleries of generated annotations: surely wrong, missed, disputed, and left-right swaps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Coco, Record
from datastill.evaluation.image_pairs import NEAR, RIGHT, ImagePairs, pair, similarity
from datastill.page.blocks import Entry, Gallery, Picture
from datastill.page.evidence_reader import read_candidates
from datastill.page.finished_run import FinishedRun, Setting
from datastill.page.pictures import thumbnail, window

_SHOWN = 6  # pictures of a gallery


@dataclass(frozen=True)
class _Shown:
    """An annotation to show in its image, beside the truth if that is not None."""

    weight: float
    image: Record
    annotations: Sequence[Record]
    truths: Sequence[Record] | None
    caption: str


def galleries(run: FinishedRun, setting: Setting) -> Iterator[Gallery]:
    """Yield the galleries of a setting that have an entry."""
    sample, _ = run.sample(setting.unlabelled)
    images = {image["id"]: image for image in sample.images}
    by_image: dict[int, list[Record]] = {number: [] for number in images}
    for candidate in read_candidates(run.files.evidence(setting.student), images):
        by_image[candidate["image_id"]].append(candidate)
    accepted = {n: [c for c in each if c["accepted"]] for n, each in by_image.items()}
    disputed = (
        _Shown(c["disagreement"], images[n], [c], None, f"disagreement {c['disagreement']:.2f}")
        for n, each in accepted.items()
        for c in each
    )
    unit = "square roots of the box's area" if run.metadata.sigmas else "mean 1 - IoU of the votes"
    yield from (
        _with_truth(run, sample, by_image)
        if sample.annotations
        else _without(by_image, run, images)
    )
    yield from _gallery(
        run, "Where the views disagree", f"Annotations whose views lie furthest apart ({unit}).",
        disputed,
    )  # fmt: skip


def _gallery(
    run: FinishedRun, title: str, caption: str, shown: Iterator[_Shown] | Sequence[_Shown]
) -> Iterator[Gallery]:
    """Yield the gallery of the heaviest entries, one per image; nothing without any."""
    chosen: dict[int, _Shown] = {}
    for each in sorted(shown, key=lambda each: -each.weight):
        if len(chosen) < _SHOWN:
            chosen.setdefault(each.image["id"], each)
    root, metadata = run.files.images, run.metadata
    entries = []
    for each in chosen.values():
        part = window(each.image, [*each.annotations, *(each.truths or ())], metadata)
        generated = thumbnail(root, each.image, each.annotations, metadata, part)
        pictures = [Picture(generated, "generated")]
        if each.truths is not None:
            truth = thumbnail(root, each.image, each.truths, metadata, part)
            pictures.insert(0, Picture(truth, "truth"))
        entries.append(Entry(pictures, each.caption, each.image["file_name"]))
    if entries:
        yield Gallery(title, caption, entries)


def _without(
    by_image: dict[int, list[Record]], run: FinishedRun, images: dict[int, Record]
) -> Iterator[Gallery]:
    """Yield what lies close to the threshold, if the truth is not known."""

    def at(accepted: bool, sign: Callable[[float], float]) -> Iterator[_Shown]:
        for number, candidates in by_image.items():
            for c in candidates:
                if c["accepted"] == accepted and not c["iscrowd"]:
                    text = f"score {c['score']:.2f}"
                    yield _Shown(sign(c["score"]), images[number], [c], None, text)

    yield from _gallery(run, "Least sure annotations", "Accepted by the narrowest margin.",
                        at(True, lambda score: -score))  # fmt: skip
    yield from _gallery(run, "Surest rejected candidates", "Rejected by the narrowest margin.",
                        at(False, lambda score: score))  # fmt: skip


def _with_truth(
    run: FinishedRun, sample: Coco, by_image: dict[int, list[Record]]
) -> Iterator[Gallery]:
    truths, sigmas = sample.by_image(), run.metadata.sigmas
    wrong: list[_Shown] = []
    missed: list[_Shown] = []
    swapped: list[_Shown] = []
    for image in sample.images:
        accepted = [c for c in by_image[image["id"]] if c["accepted"]]
        pairs = pair(image, truths[image["id"]], accepted, sigmas)
        partners = pairs.partners()
        for index, candidate in enumerate(pairs.detections):
            if partners[index] < 0:
                text = f"score {candidate['score']:.2f}, {_reason(pairs, index)}"
                wrong.append(_Shown(candidate["score"], image, [candidate], pairs.truths, text))
        swapped += _swaps(run, pairs)
        missed += _missed(pairs, partners)
    of = "OKS 0.5, left-out keypoints included" if sigmas else "IoU 0.5"
    caption = f"Annotations without an object of {of}, by score."
    yield from _gallery(run, "Surest wrong ones", caption, wrong)
    yield from _gallery(run, "Missed ones", "Objects without an annotation, largest first.", missed)
    yield from _gallery(run, "Left and right swapped", "Annotations that fit the mirrored labels "
                        "better.", swapped)  # fmt: skip


def _reason(pairs: ImagePairs, index: int) -> str:
    """Return what a wrong annotation is, by the objects near it."""
    near, same = pairs.similarity[index], pairs.same[index]
    if near.max(initial=0) < RIGHT:
        return f"similarity {near.max(initial=0):.2f}"
    return "second one of an object" if (near * same).max() >= RIGHT else "another category"


def _missed(pairs: ImagePairs, partners: NDArray[np.int64]) -> Iterator[_Shown]:
    for index, truth in enumerate(pairs.truths):
        if index not in partners:
            best = pairs.similarity[:, index].max(initial=0)
            text = "nothing near" if best < NEAR else f"best similarity {best:.2f}"
            yield _Shown(truth["area"], pairs.image, pairs.detections, [truth], text)


def _swaps(run: FinishedRun, pairs: ImagePairs) -> Iterator[_Shown]:
    """Yield the annotations that are more like the truth with left and right exchanged."""
    sigmas, order = run.metadata.sigmas, [*run.metadata.skeleton.flip_indices]
    if sigmas is None or order == [*range(len(order))]:
        return
    for index, truth in enumerate(pairs.partners(NEAR)):
        if truth < 0:
            continue
        label, candidate = pairs.truths[truth], pairs.detections[index]
        points = np.reshape(label["keypoints"], (-1, 3))[order]
        mirrored = label | {"keypoints": points.ravel().tolist()}
        after = float(similarity([candidate], [mirrored], sigmas)[0, 0])
        if (gain := after - pairs.similarity[index, truth]) > NEAR and after >= RIGHT:
            text = f"OKS {pairs.similarity[index, truth]:.2f}, mirrored {after:.2f}"
            yield _Shown(gain, pairs.image, [candidate], [label], text)
