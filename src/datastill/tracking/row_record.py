"""What MLflow is told of a row: all that the row's own files say, so that it can be told again."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any

from datastill.coco.format import read_coco
from datastill.io import digest
from datastill.project.profile import Profile, read_facts
from datastill.project.rows import Ablation, DistilledRow
from datastill.tracking.live import Follower, mirror_patiently
from datastill.tracking.run_record import DataInput, RunRecord
from datastill.tracking.store import Store
from datastill.training.metrics_log import read_metrics_log

_REFUSED = r"[^\w .-]"  # characters that stand in no part of a metric's name


def store(profile: Profile) -> Store:
    """Return where the profile's runs are tracked."""
    tracking = profile.params.tracking
    return Store(tracking.uri, f"datastill/{profile.params.profile}", tracking.patience_seconds)


def follower(profile: Profile, row: str) -> AbstractContextManager[object]:
    """Return a context during which MLflow follows the training of `row`."""
    return Follower(store(profile), lambda: record(profile, row))


def mirror_row(profile: Profile, row: str) -> bool:
    """Tell MLflow all about `row`; False, with a warning, where it does not answer in time."""
    return mirror_patiently(store(profile), lambda: record(profile, row))


def record(profile: Profile, row: str) -> RunRecord:
    """Return what the files of `row` say: of the training under way, or of the finished model."""
    running = (profile.training(row) / "card.json").is_file()
    folder = profile.training(row) if running else profile.model(row)
    card = read_facts(folder / "card.json")
    measured = {} if running else _measured(profile, row)
    return RunRecord(
        row=row,
        fingerprint=card["fingerprint"],
        attempt=card["attempt"],
        tags=_tags(profile, row, card),
        params=_flat("", {key: card[key] for key in ("row", "train", "iterations", "parameters")}),
        history=[_train_metrics(point) for point in read_metrics_log(folder / "journal.jsonl")],
        metrics=measured | _annotation_metrics(profile, row),
        inputs=_inputs(profile, row),
        artifacts=_artifacts(profile, row),
        status="RUNNING" if running else "FINISHED",
    )


def _tags(profile: Profile, row: str, card: dict[str, Any]) -> dict[str, str]:
    spec = profile.params.row(row)
    tags = {
        "role": "supervised",
        "setting": spec.labelled,
        "labelled": spec.labelled,
        "task": profile.params.task,
        "backbone": spec.backbone,
        "seed": str(spec.seed),
        "git commit": card["code"],
        "precision": card["precision"],
        "device": card["device"],
    }
    if isinstance(spec, DistilledRow):
        tags |= {
            "role": "distilled",
            "setting": f"{spec.labelled}/{spec.unlabelled}",
            "unlabelled": spec.unlabelled,
            "teacher": spec.teacher,
        }
        if warnings := read_facts(profile.annotation_card(row)).get("warnings"):
            tags["warnings"] = "; ".join(warnings)
    return tags | ({"role": "ablation"} if spec.ablation != Ablation() else {})


def _train_metrics(point: dict[str, float]) -> dict[str, float]:
    kept = ("step", "time")
    return {key if key in kept else f"train/{key}": value for key, value in point.items()}


def _measured(profile: Profile, row: str) -> dict[str, float]:
    """Return the AP of this very model; numbers of an earlier one are none of its business."""
    metrics = read_facts(profile.metrics(row))
    weights = profile.weights(row)
    if not weights.is_file() or metrics.get("provenance", {}).get("weights") != digest(weights):
        return {}
    named = {f"val/{metrics['task']}/{key}": metrics[key] for key in metrics if key[:2] == "ap"}
    low, high = metrics["interval"]
    views = metrics.get("with_views") or {}
    named |= {f"val/{metrics['task']}/{key} with views": v for key, v in views.items()}
    named |= {f"val/{metrics['task']}/ap low": low, f"val/{metrics['task']}/ap high": high}
    return {name: value for name, value in named.items() if isinstance(value, int | float)}


def _annotation_metrics(profile: Profile, row: str) -> dict[str, float]:
    card = read_facts(profile.annotation_card(row))
    if not card:
        return {}
    thresholds = card["thresholds"]
    counts = ("instances", "instances_per_image", "keypoints_per_instance")
    facts = {
        "instance threshold": thresholds["instance"]["value"],
        "keypoint threshold": (thresholds.get("keypoint") or {}).get("value"),
        **{
            f"threshold of {re.sub(_REFUSED, '_', name)}": each["value"]
            for name, each in thresholds.get("by_category", {}).items()
        },
        **{name: card[name] for name in counts if name in card},
        **(card["quality"] or {}),
    }
    numbers = {name: value for name, value in facts.items() if isinstance(value, int | float)}
    return {f"annotations/{name}": value for name, value in numbers.items()}


def _inputs(profile: Profile, row: str) -> list[DataInput]:
    spec = profile.params.row(row)
    files = {context: (path.stem, path) for context, path in profile.inputs(row).items()}
    if isinstance(spec, DistilledRow):
        files["generated"] = (f"generated for {row}", profile.annotations(row))
        files["unlabelled"] = (spec.unlabelled, profile.image_set(spec.unlabelled))
    files["val"] = ("val", profile.image_set("val"))
    return [
        _input(context, name, path) for context, (name, path) in files.items() if path.is_file()
    ]


def _input(context: str, name: str, path: Path) -> DataInput:
    state = path.stat()
    value, facts = _content(path, (state.st_mtime_ns, state.st_size))
    return DataInput(name, value, path.as_posix(), context, facts)


@lru_cache(maxsize=16)
def _content(path: Path, state: tuple[int, int]) -> tuple[str, dict[str, int]]:
    """Return digest and counts of a set: it is asked for every few seconds and rarely changes."""
    coco = read_coco(path)
    return digest(path), {"images": len(coco.images), "instances": len(coco.annotations)}


def _artifacts(profile: Profile, row: str) -> dict[str, Path]:
    spec = profile.params.row(row)
    files = {
        "metrics.json": profile.metrics(row),
        f"sets/{spec.labelled}.png": profile.sheet(spec.labelled),
    }
    if isinstance(spec, DistilledRow):
        files |= {
            "annotations.json": profile.annotation_card(row),
            "annotated.png": profile.sheet(row),
            f"sets/{spec.unlabelled}.png": profile.sheet(spec.unlabelled),
        }
    return files


def _flat(prefix: str, facts: dict[str, Any]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in facts.items():
        flat |= (
            _flat(f"{prefix}{key}.", value)
            if isinstance(value, dict)
            else {f"{prefix}{key}": value}
        )
    return flat
