"""What is said of a row's generated annotations: how many, how right, how sure, how comparable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from datastill.data.coco import Coco, Record, read_coco
from datastill.data.images import Refusal
from datastill.data.manifest import read_manifest
from datastill.data.sets import only
from datastill.data.skeleton import skeleton_of
from datastill.distill.drift import drift, look_at
from datastill.distill.generate import generate, with_verdicts
from datastill.distill.select import Density, Selection, scores
from datastill.distill.shards import Candidates
from datastill.evaluate.truth import curve, judge
from datastill.stages.place import Place


@dataclass
class Tally:
    """What was generated, counted on its way to the file; `shown` is for the contact sheet."""

    instances: int = 0
    ignored: int = 0
    keypoints: int = 0
    images: Counter[int] = field(default_factory=Counter)
    shown: list[Record] = field(default_factory=list)

    def counted(self, records: Iterator[Record], shown: set[int]) -> Iterator[Record]:
        """Yield `records`; remember those on images of `shown`."""
        for record in records:
            self.ignored += record["iscrowd"]
            self.instances += not record["iscrowd"]
            self.keypoints += record["num_keypoints"]
            self.images[record["image_id"]] += not record["iscrowd"]
            if record["image_id"] in shown:
                self.shown.append(record)
            yield record


@dataclass(frozen=True)
class Outcome:
    """All that an annotation came from and led to.

    images   those of `readable` that stay
    sample   what the teacher finds in `sampled` of the labelled images
    """

    row: str
    labelled: Coco
    unlabelled: Coco
    readable: list[Record]
    images: list[Record]
    refused: list[Refusal]
    candidates: Candidates
    sample: Candidates
    sampled: int
    selection: Selection
    wanted: Density
    tally: Tally


def annotation_card(place: Place, outcome: Outcome) -> dict[str, Any]:
    """Return the card of a row's annotations, as it stands in results/."""
    drifted = _drift(place, outcome)
    row, selection = outcome.row, outcome.selection
    return {
        "row": row,
        "teacher": place.params.distilled[row].teacher,
        **_counts(outcome),
        "images_refused": [asdict(refusal) for refusal in outcome.refused],
        "labelled": _rounded(asdict(outcome.wanted)),
        "rules": place.params.select.model_dump(),
        "thresholds": _thresholds(selection, outcome.unlabelled),
        "quality": _quality(place, outcome),
        "sensitivity": _sensitivity(outcome),
        "drift": drifted,
        "warnings": [
            *_warnings(row, selection, outcome.refused),
            *(f"{row}: {warning}" for warning in drifted["warnings"]),
        ],
    }


def _counts(outcome: Outcome) -> dict[str, Any]:
    tally, readable = outcome.tally, len(outcome.readable)
    return {
        "images": len(outcome.images),
        "images_without_annotations": readable - sum(n > 0 for n in tally.images.values()),
        "instances": tally.instances,
        "ignored": tally.ignored,
        "instances_per_image": round(tally.instances / readable, 4),
        "keypoints_per_instance": round(tally.keypoints / max(1, tally.instances), 4),
    }


def _drift(place: Place, outcome: Outcome) -> dict[str, Any]:
    brightness = read_manifest(place.manifest)["brightness"]
    people = (a for a in outcome.labelled.annotations if a["num_keypoints"] and not a["iscrowd"])
    sets = (
        (outcome.labelled.images, Counter(a["image_id"] for a in people)),
        (outcome.readable, outcome.tally.images),
    )
    found = (outcome.sample, outcome.sampled), (outcome.candidates, len(outcome.readable))
    looks = [
        look_at(
            images,
            brightness[[image["file_name"] for image in images]].tolist(),
            [instances[image["id"]] for image in images],
            scores(candidates),
            looked,
        )
        for (images, instances), (candidates, looked) in zip(sets, found, strict=True)
    ]
    return drift(looks[0], looks[1], outcome.selection.instance.value)


def _sensitivity(outcome: Outcome) -> list[dict[str, float | None]]:
    """Return what other thresholds would have given: instances per image and, where the truth is
    known, precision and recall at OKS 0.5.
    """
    found, selection = scores(outcome.candidates), outcome.selection
    counts = np.geomspace(0.25, 4, 9) * selection.instance.kept
    places = np.unique(np.clip(np.rint(counts).astype(int), 1, len(found)))
    thresholds = [round(value, 4) for value in np.sort(found)[::-1][places - 1].tolist()]
    judged = _judged(outcome, thresholds)
    return [
        _rounded(
            {
                "threshold": threshold,
                "instances_per_image": float((found >= threshold).sum()) / len(outcome.readable),
                "precision50": precision,
                "recall50": recall,
            }
        )
        for threshold, (precision, recall) in zip(thresholds, judged, strict=True)
    ]


def _judged(outcome: Outcome, thresholds: list[float]) -> list[tuple[float | None, float | None]]:
    if not outcome.unlabelled.annotations:
        return [(None, None)] * len(thresholds)
    least = replace(outcome.selection.instance, value=min(thresholds))
    lenient = replace(outcome.selection, instance=least, ignored=None)
    tables = (with_verdicts(table, lenient, "") for table in outcome.candidates.tables())
    categories = outcome.unlabelled.categories
    people = list(generate(tables, categories[0]["id"], outcome.wanted.area_share))
    generated = Coco(outcome.readable, people, categories)
    truth = only(outcome.unlabelled, outcome.readable)
    return curve(generated, truth, thresholds, sigmas=skeleton_of(categories).sigmas)


def _warnings(row: str, selection: Selection, refused: list[Refusal]) -> Iterator[str]:
    for what, threshold in (("instances", selection.instance), ("keypoints", selection.keypoint)):
        if threshold and threshold.exhausted:
            yield (
                f"{row}: wanted {threshold.wanted} {what} to match the labelled set, the teacher "
                f"predicts only {threshold.kept}; all are kept, whatever their score"
            )
    if refused:
        yield f"{row}: {len(refused)} images cannot be read, such as {refused[0].file_name}"


def _thresholds(selection: Selection, unlabelled: Coco) -> dict[str, Any]:
    names = unlabelled.keypoint_names()
    by_type = {n: asdict(each) for n, each in zip(names, selection.by_type, strict=False)}
    return {
        "instance": asdict(selection.instance),
        "keypoint": asdict(selection.keypoint) if selection.keypoint else None,
        **({"keypoint_by_type": by_type} if by_type else {}),
        **({"views": selection.views} if selection.views else {}),
    }


def _quality(place: Place, outcome: Outcome) -> dict[str, Any] | None:
    """Return how right the annotations are, where the truth of the unlabelled set is known."""
    if not outcome.unlabelled.annotations:
        return None
    generated = read_coco(place.annotations(outcome.row))
    truth = only(outcome.unlabelled, outcome.images)
    sigmas = skeleton_of(truth.categories).sigmas
    return _rounded(asdict(judge(generated, truth, sigmas=sigmas)))


def _rounded(facts: dict[str, Any]) -> dict[str, Any]:
    plain = {name: [round(x, 4) for x in v] for name, v in facts.items() if isinstance(v, tuple)}
    return {name: round(v, 4) if isinstance(v, float) else v for name, v in facts.items()} | plain
