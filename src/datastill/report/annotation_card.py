"""What is said of a row's generated annotations: how many, how right, how sure, how comparable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from datastill.coco.format import Coco, Record, read_coco
from datastill.coco.metadata import build_metadata
from datastill.coco.subsets import subset
from datastill.distill.annotations import generate, with_verdicts
from datastill.distill.categories import BoxDensity
from datastill.distill.drift import drift, look_at
from datastill.distill.shards import Candidates
from datastill.distill.thresholds import Density, Selection, scores
from datastill.evaluation.annotation_quality import curve, judge
from datastill.images.load import Refusal
from datastill.images.manifest import read_column
from datastill.project.profile import Profile
from datastill.report.category_card import by_category, category_names, rare, shares


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
            self.keypoints += record.get("num_keypoints", 0)
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
    wanted: Density | BoxDensity
    tally: Tally

    @property
    def boxes(self) -> bool:
        """Return whether it is about boxes alone, of several categories."""
        return isinstance(self.wanted, BoxDensity)


def area_shares(wanted: Density | BoxDensity, categories: Sequence[Record]) -> Mapping[int, float]:
    """Return the mean share of a box that is annotated area, by category id."""
    if isinstance(wanted, BoxDensity):
        return wanted.area_shares
    return {category["id"]: wanted.area_share for category in categories}


def annotation_card(profile: Profile, outcome: Outcome) -> dict[str, Any]:
    """Return the card of a row's annotations, as it stands in results/."""
    drifted = _drift(profile, outcome)
    row, selection = outcome.row, outcome.selection
    return {
        "row": row,
        "teacher": profile.params.distilled[row].teacher,
        **_counts(outcome),
        "images_refused": [asdict(refusal) for refusal in outcome.refused],
        "labelled": _labelled(outcome),
        "rules": profile.params.select.model_dump(),
        "thresholds": _thresholds(selection, outcome.unlabelled),
        "quality": _quality(profile, outcome),
        "sensitivity": _sensitivity(outcome),
        "drift": drifted,
        "warnings": [
            *_warnings(outcome),
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
        **({} if outcome.boxes else {"keypoints_per_instance": _per(tally)}),
    }


def _per(tally: Tally) -> float:
    return round(tally.keypoints / max(1, tally.instances), 4)


def _labelled(outcome: Outcome) -> dict[str, Any]:
    facts = asdict(outcome.wanted)
    if not outcome.boxes:
        return _rounded(facts)
    names = category_names(outcome.unlabelled)
    return {key: _rounded({names[n]: v for n, v in by.items()}) for key, by in facts.items()}


def _drift(profile: Profile, outcome: Outcome) -> dict[str, Any]:
    brightness = read_column(profile.manifest, "brightness")
    known = (a for a in outcome.labelled.annotations if not a["iscrowd"])
    counted = Counter(a["image_id"] for a in known if outcome.boxes or a["num_keypoints"])
    sets = (
        (outcome.labelled.images, counted),
        (outcome.readable, outcome.tally.images),
    )
    found = (outcome.sample, outcome.sampled), (outcome.candidates, len(outcome.readable))
    looks = [
        look_at(
            images,
            [float(brightness[image["file_name"]]) for image in images],
            [instances[image["id"]] for image in images],
            scores(candidates),
            looked,
        )
        for (images, instances), (candidates, looked) in zip(sets, found, strict=True)
    ]
    threshold = None if outcome.boxes else outcome.selection.instance.value
    return drift(looks[0], looks[1], threshold)


def _sensitivity(outcome: Outcome) -> list[dict[str, float | None]]:
    """Return what other thresholds would have given: instances per image and, where the truth is
    known, precision and recall at OKS 0.5; for boxes what other shares of those wanted would have.
    """
    if outcome.boxes:
        return [_rounded(each) for each in shares(outcome)]
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
    people = list(generate(tables, area_shares(outcome.wanted, categories)))
    generated = Coco(outcome.readable, people, categories)
    truth = subset(outcome.unlabelled, outcome.readable)
    sigmas = build_metadata(truth, "keypoints").sigmas
    return curve(generated, truth, thresholds, sigmas=sigmas)


def _warnings(outcome: Outcome) -> Iterator[str]:
    row, selection, refused = outcome.row, outcome.selection, outcome.refused
    if outcome.boxes:
        yield from (f"{row}: {warning}" for warning in rare(outcome))
    for what, threshold in (("instances", selection.instance), ("keypoints", selection.keypoint)):
        if threshold and threshold.exhausted and not outcome.boxes:
            yield (
                f"{row}: wanted {threshold.wanted} {what} to match the labelled set, the teacher "
                f"predicts only {threshold.kept}; all are kept, whatever their score"
            )
    if refused:
        yield f"{row}: {len(refused)} images cannot be read, such as {refused[0].file_name}"


def _thresholds(selection: Selection, unlabelled: Coco) -> dict[str, Any]:
    if selection.by_category:
        names_of = category_names(unlabelled)
        return {
            "instance": asdict(selection.instance),
            "by_category": {names_of[n]: asdict(t) for n, t in selection.by_category.items()},
        }
    names = unlabelled.keypoint_names()
    by_type = {n: asdict(each) for n, each in zip(names, selection.by_type, strict=False)}
    return {
        "instance": asdict(selection.instance),
        "keypoint": asdict(selection.keypoint) if selection.keypoint else None,
        **({"keypoint_by_type": by_type} if by_type else {}),
        **({"views": selection.views} if selection.views else {}),
    }


def _quality(profile: Profile, outcome: Outcome) -> dict[str, Any] | None:
    """Return how right the annotations are, where the truth of the unlabelled set is known."""
    if not outcome.unlabelled.annotations:
        return None
    generated = read_coco(profile.annotations(outcome.row))
    truth = subset(outcome.unlabelled, outcome.images)
    sigmas = build_metadata(truth, profile.params.task).sigmas
    found = asdict(judge(generated, truth, profile.params.task, sigmas=sigmas))
    similarity = "mean_iou" if outcome.boxes else "mean_oks"
    named = {similarity if key == "mean_similarity" else key: v for key, v in found.items()}
    return _rounded(named) | (by_category(generated, truth) if outcome.boxes else {})


def _rounded(facts: dict[str, Any]) -> dict[str, Any]:
    plain = {name: [round(x, 4) for x in v] for name, v in facts.items() if isinstance(v, tuple)}
    return {name: round(v, 4) if isinstance(v, float) else v for name, v in facts.items()} | plain
