"""The card of a row's generated annotations: counts, thresholds, quality, sensitivity and drift."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Coco, Record, Task
from datastill.coco.image_records import image_ids
from datastill.coco.metadata import build_metadata
from datastill.coco.results import to_records, xywh
from datastill.coco.subsets import subset
from datastill.distill.annotations import Tally, generate, with_verdicts
from datastill.distill.drift import SetStats, category_warnings, drift
from datastill.distill.shards import Candidates, to_matrix
from datastill.distill.thresholds import Density, Selection, read_columns
from datastill.evaluation.annotation_quality import measure, measure_categories, precision_recall
from datastill.evaluation.expected_quality import (
    ExpectedQuality,
    expect,
    judge_sample,
    read_evidence,
)
from datastill.evaluation.quality_text import expected_card, shortfalls
from datastill.images.load import Refusal

_STEPS = np.geomspace(0.25, 4, 9)  # of the number of annotations


@dataclass(frozen=True)
class AnnotatedRow:
    """A distilled row and its annotations: everything that the card is computed from.

    rules       section `select` of params.yaml
    unlabelled  with annotations if the truth is known
    readable    unlabelled images that could be read; `images` are those of them that are kept
    candidates  of the teacher in the unlabelled images
    sample      of the teacher, single-scale, in some of the labelled images
    held_out    labelled images that the teacher was not trained on, and its candidates in them
    brightness  of all images, by file name
    tally       with the records of all `images` if the truth is known
    """

    row: str
    teacher: str
    task: Task
    rules: Mapping[str, Any]
    labelled: Coco
    unlabelled: Coco
    readable: Sequence[Record]
    images: Sequence[Record]
    refused: list[Refusal]
    candidates: Candidates
    sample: Candidates
    held_out: Coco
    held_out_candidates: Candidates
    density: Density
    selection: Selection
    brightness: Mapping[str, str]
    tally: Tally = field(default_factory=Tally)

    @cached_property
    def expected(self) -> ExpectedQuality | None:
        """The expected quality of the annotations, None if none of `held_out` has a candidate."""
        images = image_ids(self.images)
        judged = judge_sample(self.held_out_candidates, self.selection, self.held_out, self.task)
        evidence = read_evidence(self.candidates, self.selection, images, judged.categories)
        return expect(judged, evidence)

    @property
    def boxes(self) -> bool:
        """Whether these are boxes without keypoints, of several categories."""
        return self.task == "boxes"

    @property
    def category_names(self) -> dict[int, str]:
        """The name of every category by its id."""
        return {category["id"]: category["name"] for category in self.unlabelled.categories}


def annotation_card(annotated: AnnotatedRow) -> dict[str, Any]:
    """Return the card of a row's annotations, as stored in results/; forget the records."""
    quality, drift_card = _quality(annotated), _drift(annotated)
    names = annotated.category_names if annotated.boxes else {}
    annotated.tally.records.clear()  # large where the truth is known, and sensitivity is, too
    warnings = [*_warnings(annotated), *drift_card["warnings"]]
    return {
        "row": annotated.row,
        "teacher": annotated.teacher,
        **_counts(annotated),
        "images_refused": [asdict(refusal) for refusal in annotated.refused],
        "labelled": _labelled(annotated),
        "rules": annotated.rules,
        "thresholds": _thresholds(annotated),
        "expected": annotated.expected and expected_card(annotated.expected, names),
        "quality": quality,
        "sensitivity": _sensitivity(annotated),
        "drift": drift_card,
        "warnings": [f"{annotated.row}: {warning}" for warning in warnings],
    }


def _counts(annotated: AnnotatedRow) -> dict[str, Any]:
    tally, readable = annotated.tally, len(annotated.readable)
    counts = {
        "images": len(annotated.images),
        "images_without_annotations": readable - len(np.unique(tally.image_ids)),
        "instances": tally.instances,
        "ignored": tally.ignored,
        "instances_per_image": round(tally.instances / readable, 4),
    }
    if not annotated.boxes:
        counts["keypoints_per_instance"] = round(tally.keypoints / max(1, tally.instances), 4)
    return counts


def _labelled(annotated: AnnotatedRow) -> dict[str, Any]:
    density, names = annotated.density, annotated.category_names
    if annotated.boxes:
        means = {
            "instances_per_image": density.instances_per_image,
            "area_shares": density.area_shares,
        }
        return {key: _rounded({names[n]: each[n] for n in each}) for key, each in means.items()}
    (per_image,), (area_share,) = density.instances_per_image.values(), density.area_shares.values()
    return {
        "instances_per_image": round(per_image, 4),
        "keypoints_per_instance": round(density.keypoints_per_instance, 4),
        "keypoint_shares": [round(share, 4) for share in density.keypoint_shares],
        "area_share": round(area_share, 4),
    }


def _thresholds(annotated: AnnotatedRow) -> dict[str, Any]:
    selection = annotated.selection
    thresholds: dict[str, Any] = {"instance": asdict(selection.instance)}
    if annotated.boxes:
        names = annotated.category_names
        by_category = {names[n]: asdict(each) for n, each in selection.by_category.items()}
        return thresholds | {"by_category": by_category}
    thresholds["keypoint"] = asdict(selection.keypoint) if selection.keypoint else None
    by_type = zip(annotated.unlabelled.keypoint_names(), selection.by_type, strict=False)
    if named := {name: asdict(each) for name, each in by_type}:
        thresholds["keypoint_by_type"] = named
    if selection.views:
        thresholds["views"] = selection.views
    return thresholds


def _quality(annotated: AnnotatedRow) -> dict[str, Any] | None:
    """Return the quality of the annotations, if the truth of the unlabelled set is known."""
    unlabelled, task = annotated.unlabelled, annotated.task
    if not unlabelled.annotations:
        return None
    generated = Coco(annotated.images, annotated.tally.records, unlabelled.categories)
    truth = subset(unlabelled, annotated.images)
    quality = measure(generated, truth, task, sigmas=build_metadata(truth, task).sigmas)
    names = {"mean_similarity": "mean_iou" if annotated.boxes else "mean_oks"}
    facts = {names.get(key, key): value for key, value in _rounded(asdict(quality)).items()}
    if annotated.boxes:
        kept = ("precision50", "recall50", "generated", "truth")
        facts["by_category"] = {
            name: _rounded({key: getattr(each, key) for key in kept})
            for name, each in measure_categories(generated, truth).items()
        }
    return facts


def _rounded(facts: Mapping[str, float | None]) -> dict[str, Any]:
    return {key: round(v, 4) if isinstance(v, float) else v for key, v in facts.items()}


_Levels = tuple[str, list[float], list[int], Iterator[Record]]  # see `_by_threshold`


def _sensitivity(annotated: AnnotatedRow) -> list[dict[str, float | None]]:
    """Return the instances per image and, if the truth is known, precision and recall at a
    similarity of 0.5 that other thresholds would give, or other shares of the wanted boxes.
    """
    by_level = _by_share if annotated.boxes else _by_threshold
    key, levels, counts, records = by_level(annotated)
    points: Sequence[tuple[float | None, float | None]] = [(None, None)] * len(levels)
    if annotated.unlabelled.annotations:
        generated = Coco(annotated.readable, [*records], annotated.unlabelled.categories)
        truth = subset(annotated.unlabelled, annotated.readable)
        cutoffs = [1 / level for level in levels] if annotated.boxes else levels
        sigmas = build_metadata(truth, annotated.task).sigmas
        points = precision_recall(generated, truth, cutoffs, annotated.task, sigmas=sigmas)
    return [
        _rounded(
            {
                key: level,
                "instances_per_image": count / len(annotated.readable),
                "precision50": precision,
                "recall50": recall,
            }
        )
        for level, count, (precision, recall) in zip(levels, counts, points, strict=True)
    ]


def _by_threshold(annotated: AnnotatedRow) -> _Levels:
    """Return "threshold", some thresholds, how many instances each keeps, and all of these."""
    (scores,) = read_columns(annotated.candidates, "score")
    wanted = np.rint(_STEPS * annotated.selection.instance.kept).astype(int)
    ranks = np.unique(np.clip(wanted, 1, len(scores)))
    levels = [round(value, 4) for value in np.sort(scores)[::-1][ranks - 1].tolist()]
    counts = [int((scores >= level).sum()) for level in levels]
    instance = replace(annotated.selection.instance, value=min(levels))
    selection = replace(annotated.selection, instance=instance, ignored=None)
    tables = (with_verdicts(table, selection, "") for table in annotated.candidates.tables())
    return "threshold", levels, counts, generate(tables, annotated.density.area_shares)


def _by_share(annotated: AnnotatedRow) -> _Levels:
    """Return what `_by_threshold` does, of shares of the wanted boxes."""
    scores, categories = read_columns(annotated.candidates, "score", "category_id")
    needed = np.full(len(scores), np.inf)
    for category, threshold in annotated.selection.by_category.items():
        members = np.flatnonzero(categories == category)
        best_first = members[np.argsort(-scores[members], kind="stable")]
        needed[best_first] = np.arange(1, len(members) + 1) / max(1, threshold.wanted)
    counts = [int((needed <= share).sum()) for share in _STEPS]
    return "share", _STEPS.tolist(), counts, _annotations(annotated.candidates, needed)


def _annotations(candidates: Candidates, needed: NDArray[np.float64]) -> Iterator[Record]:
    """Yield the candidates as annotations, their scores 1 over the shares `needed` (n,) of each."""
    numbers, start = count(1), 0
    for table in candidates.tables("image_id", "category_id", "box"):
        shares = needed[start : start + len(table)]
        start += len(table)
        kept = table.append_column("score", [1 / shares]).filter(shares <= _STEPS[-1])
        fields = {
            "image_id": kept["image_id"].to_pylist(),
            "category_id": kept["category_id"].to_pylist(),
            "bbox": xywh(to_matrix(kept["box"])).tolist(),
            "score": kept["score"].to_pylist(),
        }
        yield from ({"id": next(numbers), **record} for record in to_records(fields))


def _drift(annotated: AnnotatedRow) -> dict[str, Any]:
    annotations = (a for a in annotated.labelled.annotations if not a["iscrowd"])
    counted = (a for a in annotations if annotated.boxes or a["num_keypoints"])
    instances = [a["image_id"] for a in counted]
    labelled, sample, readable = annotated.labelled.images, annotated.sample, annotated.readable
    return drift(
        _stats(annotated, labelled, instances, sample, sample.images),
        _stats(annotated, readable, annotated.tally.image_ids, annotated.candidates, len(readable)),
        None if annotated.boxes else annotated.selection.instance.value,
    )


def _stats(
    annotated: AnnotatedRow,
    images: Sequence[Record],
    instances: Sequence[int],
    candidates: Candidates,
    inferred: int,
) -> SetStats:
    """Return the statistics of `images`; `instances` are the image ids of their annotations."""
    ids, annotated_ids = image_ids(images), np.sort(np.array(instances, dtype=np.int64))
    first, end = (np.searchsorted(annotated_ids, ids, side) for side in ("left", "right"))
    (scores,), values = read_columns(candidates, "score"), annotated.brightness
    return SetStats(
        widths=np.fromiter((image["width"] for image in images), float),
        heights=np.fromiter((image["height"] for image in images), float),
        brightness=np.fromiter((float(values[image["file_name"]]) for image in images), float),
        instances=end - first,
        scores=scores,
        inferred=inferred,
    )


def _warnings(annotated: AnnotatedRow) -> Iterator[str]:
    selection, refused = annotated.selection, annotated.refused
    yield from shortfalls(annotated.expected, annotated.category_names if annotated.boxes else {})
    if annotated.boxes:
        names, annotations = annotated.category_names, annotated.labelled.annotations
        labelled = {names[a["category_id"]] for a in annotations if not a["iscrowd"]}
        thresholds = {names[n]: each for n, each in selection.by_category.items()}
        yield from category_warnings([*names.values()], labelled, thresholds)
    else:
        named = {"instances": selection.instance, "keypoints": selection.keypoint}
        for objects, threshold in named.items():
            if threshold and threshold.exhausted:
                yield (
                    f"wanted {threshold.wanted} {objects} to match the labelled set, the teacher "
                    f"predicts only {threshold.kept}; all are kept, whatever their score"
                )
    if refused:
        yield f"{len(refused)} images cannot be read, such as {refused[0].file_name}"
