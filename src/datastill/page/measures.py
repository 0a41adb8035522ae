"""Precision and recall, AP by size, crowding and marked keypoints, and errors in pixels."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datastill.coco.format import Coco, Record
from datastill.coco.subsets import subset
from datastill.evaluation.coco_ap import prepared, silence
from datastill.evaluation.detection_curves import precision_by_recall
from datastill.page.blocks import Chart, Section
from datastill.page.finished_run import SETTINGS, FinishedRun, Setting, setting_groups
from datastill.page.svg_charts import bars, curves, dots

_SIZES = {"ap_small": "small", "ap_medium": "medium", "ap_large": "large"}
_FEW = 10  # objects below which a group has no AP
_LEVELS = {0.5: "precision50", 0.75: "precision75"}


@dataclass(frozen=True)
class _Measured:
    """A row on val: the points of `precision_by_recall`, and AP by group of `_groups`."""

    points: Sequence[Mapping[str, float]]
    by_group: Mapping[str, Mapping[str, float]]

    def column(self, name: str) -> list[float]:
        return [point[name] for point in self.points]


def measures_section(run: FinishedRun) -> Section:
    """Return charts of where the models differ, a group per setting."""
    shown, groups = run.settings[:SETTINGS], dict(_groups(run))
    rows = dict.fromkeys(row for setting in shown for row in setting.roles.values())
    measured = {row: _measure(run, row, groups) for row in rows}
    blocks = setting_groups(
        run, lambda setting: _charts(run, setting, measured) if setting.roles else ()
    )
    intro = (
        "On all of val, for one training run per role: the first seed's. Small groups of objects "
        "are noisy; those of fewer than ten are left out."
    )
    return Section("measures", "Where they differ", intro, blocks)


_CAPTIONS = {
    "AP by objects per image": "AP on the images with so many objects.",
    "AP by marked keypoints": "AP on the objects with so many marked keypoints; detections of "
    "others are left out, every false one counts in each group.",
}


def _charts(
    run: FinishedRun, setting: Setting, measured: Mapping[str, _Measured]
) -> Iterator[Chart]:
    title, roles = setting.title, setting.roles
    for level, name in _LEVELS.items():
        lines = {
            role: (measured[row].column("recall"), measured[row].column(name))
            for role, row in roles.items()
        }
        kind = "OKS" if run.metadata.sigmas else "IoU"
        yield Chart(
            curves(f"Precision by recall at {level}, {title}", lines, "recall", "precision", 1),
            f"Precision by recall; a detection is right from {kind} {level} on.",
        )
    metrics = {role: run.metrics(row) for role, row in roles.items()}
    sizes = [key for key in _SIZES if all(m.get(key) is not None for m in metrics.values())]
    if sizes:
        names = [_SIZES[key] for key in sizes]
        values = {role: [m[key] for key in sizes] for role, m in metrics.items()}
        yield Chart(
            bars(f"AP by size, {title}", names, values, "AP"),
            "AP by the area of an object: small below 32² pixels, large above 96².",
        )
    for name, caption in _CAPTIONS.items():
        by_group = {role: measured[row].by_group[name] for role, row in roles.items()}
        if len(groups := [*next(iter(by_group.values()))]) > 1:
            values = {role: [*each.values()] for role, each in by_group.items()}
            yield Chart(bars(f"{name}, {title}", groups, values, "AP"), caption)
    by_keypoint = {r: m["by_keypoint"] for r, m in metrics.items() if m.get("by_keypoint")}
    if by_keypoint:
        points = [*next(iter(by_keypoint.values()))]
        medians = {r: [_number(m[p]["median"]) for p in points] for r, m in by_keypoint.items()}
        yield Chart(
            dots(f"Pixel error by keypoint, {title}", points, medians, "median error, pixels"),
            "Median distance of a detected object's keypoint from its label; less is better.",
        )


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _groups(run: FinishedRun) -> Iterator[tuple[str, dict[str, Coco]]]:
    """Yield val by the number of objects of an image, and by an object's marked keypoints."""
    crowding, marked = _CAPTIONS
    yield crowding, dict(_by_crowding(run.val))
    yield marked, dict(_by_marked(run.val)) if run.metadata.sigmas else {}


def _measure(run: FinishedRun, row: str, groups: Mapping[str, Mapping[str, Coco]]) -> _Measured:
    detections, sigmas = run.detections(row), run.metadata.sigmas
    return _Measured(
        precision_by_recall(run.val, detections, run.task, sigmas=sigmas),
        {
            name: {
                group: _average_precision(run, detections, part)
                for group, part in parts.items()
                if len(parts) > 1
            }
            for name, parts in groups.items()
        },
    )


def _average_precision(run: FinishedRun, detections: Sequence[Record], part: Coco) -> float:
    """Return AP on part of val, in percent; without ranges of areas, for speed."""
    ids = {image["id"] for image in part.images}
    inside = [each for each in detections if each["image_id"] in ids]
    evaluation = prepared(part, inside, run.task, sigmas=run.metadata.sigmas)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float("inf")]], ["all"]
    with silence():
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"]
    return float(100 * precision[precision > -1].mean())


def _objects(val: Coco) -> list[Record]:
    return [a for a in val.annotations if not a.get("iscrowd") and a.get("num_keypoints", 1)]


def _by_crowding(val: Coco) -> Iterator[tuple[str, Coco]]:
    counts = Counter(annotation["image_id"] for annotation in _objects(val))
    for name, low, high in (("1", 1, 1), ("2 to 3", 2, 3), ("4 to 9", 4, 9), ("10 +", 10, np.inf)):
        images = [image for image in val.images if low <= counts[image["id"]] <= high]
        if sum(counts[image["id"]] for image in images) >= _FEW:
            yield name, subset(val, images)


def _by_marked(val: Coco) -> Iterator[tuple[str, Coco]]:
    """Yield val with all objects ignored but those of so many marked keypoints."""
    total = len(val.keypoint_names())
    bounds = np.unique([0, *np.ceil(np.array([1 / 3, 2 / 3]) * total), total - 1, total])
    for low, high in zip(bounds[:-1].astype(int) + 1, bounds[1:].astype(int), strict=True):
        inside = [low <= a.get("num_keypoints", 0) <= high for a in val.annotations]
        if sum(inside) >= _FEW:
            annotations = [
                a if kept else a | {"num_keypoints": 0, "ignore": 1}
                for a, kept in zip(val.annotations, inside, strict=True)
            ]
            yield (
                str(high) if low == high else f"{low} to {high}",
                Coco(val.images, annotations, val.categories),
            )
