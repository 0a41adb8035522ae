"""Stage `curves`: what DVC draws and compares of every row, as small JSON files."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from datastill.coco.format import Coco, read_coco
from datastill.coco.metadata import build_metadata
from datastill.coco.results import read_results
from datastill.evaluation.detection_curves import precision_by_recall
from datastill.io import write_text
from datastill.project.profile import Profile
from datastill.project.records import read_facts
from datastill.project.rows import DistilledRow
from datastill.training.metrics_log import read_metrics_log

MOST_STEPS = 500  # of a training run; the journal in its folder has all

Points = Sequence[Mapping[str, float | None]]  # of a curve, all with the same keys


def run(profile: Profile) -> None:
    """Write the curves and the summary of every row.

    Raises DataError if a row was not evaluated, or not annotated.
    """
    val = read_coco(profile.image_set("val"))
    for row, spec in profile.params.rows().items():
        curves = {"loss": _losses(profile, row), "precision-recall": _detected(profile, row, val)}
        summary = _measured(profile, row)
        if isinstance(spec, DistilledRow):
            path = profile.require(profile.annotation_card(row), "annotate", row)
            card = read_facts(path)
            curves["sensitivity"] = _by_level(card["sensitivity"])
            summary |= _annotated(card)
        for curve, points in curves.items():
            lines = ",\n".join(map(json.dumps, points))
            write_text(profile.curve(curve, row), f"[\n{lines}\n]\n")
        write_text(profile.summary(row), json.dumps(summary, indent=2) + "\n")


def _losses(profile: Profile, row: str) -> Points:
    """Return the losses and learning rate of MOST_STEPS logged steps at most, evenly spread."""
    log = [*read_metrics_log(profile.model(row) / "journal.jsonl")]
    shown = log[:: -(-len(log) // MOST_STEPS) or 1]
    return [{name: value for name, value in entry.items() if name != "time"} for entry in shown]


def _detected(profile: Profile, row: str, val: Coco) -> Points:
    task, path = profile.params.task, profile.require(profile.detections(row), "evaluate", row)
    sigmas = build_metadata(val, task).sigmas
    advice = f"run `datastill evaluate {row}{profile.option}` again"
    return precision_by_recall(val, read_results(path, advice), task, sigmas=sigmas)


def _by_level(sensitivity: Points) -> Points:
    """Return the points by "level": a threshold or, of boxes, a share of the wanted ones."""
    shares = [
        {"level" if k in ("threshold", "share") else k: v for k, v in p.items()}
        for p in sensitivity
    ]
    return sorted(shares, key=lambda point: point["level"] or 0)


def _measured(profile: Profile, row: str) -> dict[str, Any]:
    """Return AP with its interval and, of a student, the gain over its baseline, in percent."""
    metrics = read_facts(profile.require(profile.metrics(row), "evaluate", row))
    ends = metrics.get("interval") or ()  # early versions measured none
    summary = {"ap": metrics["ap"]} | dict(zip(("ap_low", "ap_high"), ends, strict=False))
    if baseline := profile.params.baseline(row):
        before = read_facts(profile.require(profile.metrics(baseline), "evaluate", baseline))
        summary["gain"] = round(metrics["ap"] - before["ap"], 2)
    return summary


def _annotated(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the thresholds, and how many annotations they make and, expected, of which quality."""
    thresholds, expected = card["thresholds"], card.get("expected") or {}
    values = {
        f"{name}_threshold": thresholds[name]["value"]
        for name in ("instance", "keypoint")
        if thresholds.get(name)  # keypoints may have one per type
    }
    values |= {
        name: card[name]
        for name in ("instances_per_image", "keypoints_per_instance")
        if name in card
    }
    values |= {f"expected_{name}": expected.get(name) for name in ("precision", "recall")}
    return {name: round(value, 4) for name, value in values.items() if value is not None}
