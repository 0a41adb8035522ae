"""A row's record for MLflow, read from its files, as plain data.

Names of metrics have no spaces: a column, a filter and a chart of MLflow take them as they are.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from datastill.coco.format import read_coco
from datastill.errors import DatastillError
from datastill.evaluation.pixel_errors import NAMES
from datastill.io import digest
from datastill.project.profile import Profile
from datastill.project.records import read_facts
from datastill.project.rows import Ablation, DistilledRow, SupervisedRow, as_trained
from datastill.project.stage_lock import is_locked
from datastill.tracking.project_id import project_id
from datastill.training.metrics_log import read_metrics_log

REPORT = "report of all rows"  # the run with the page: no row has a space in its name
NAME = re.compile(r"[/\w.\- ]{1,250}")  # the metric names that MLflow accepts on every system
_LONGEST = 200  # characters of a category in the name of a metric
SOURCE = tuple(f"mlflow.source.{key}" for key in ("type", "name", "git.commit"))


@dataclass(frozen=True)
class DataInput:
    """An image set or generated annotations that a row read.

    MLflow keeps one context per name and digest in a run.
    """

    name: str
    digest: str  # SHA-256, hexadecimal
    source: str  # path
    context: str  # labelled, unlabelled, generated or val
    facts: Mapping[str, int] = field(default_factory=dict)  # images, instances


@dataclass(frozen=True)
class RunRecord:
    """The state that a row's MLflow run should have.

    row          also the run's name
    attempt      id of one training run: kept across crashes and resumes, new for a forced rerun
    project      id of the project in a store that it shares, "" in one of its own
    description  of the row and its result, in sentences
    history      points of the metrics log: "step", metrics and, if known, "time" (Unix seconds)
    metrics      the final ones, such as "val/keypoints/ap"
    artifacts    path inside the run -> file; a file that does not exist is skipped
    status       RUNNING, FINISHED, FAILED or KILLED
    """

    row: str
    fingerprint: str
    attempt: str = ""
    project: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    inputs: Sequence[DataInput] = ()
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    status: str = "RUNNING"

    def identity(self) -> dict[str, str]:
        """Return what identifies a run of this row as this record's."""
        return {"fingerprint": self.fingerprint, "attempt": self.attempt}


def check(record: RunRecord) -> None:
    """Raise DatastillError for a row, metric, param or artifact whose name MLflow refuses."""
    metrics = sorted({name for values in (*record.history, record.metrics) for name in values})
    for name in [record.row, *metrics, *record.params, *record.artifacts]:
        outside = posixpath.normpath(name) != name or name.startswith(("/", ".."))
        if outside or not NAME.fullmatch(name):
            rule = "are relative paths of letters, digits, spaces, '_', '-' and '.'"
            refused = f"row {record.row!r}: MLflow refuses the name {name!r}"
            raise DatastillError(f"{refused}; metrics, params and artifacts {rule}")
    if any("step" not in point for point in record.history):
        raise DatastillError(f"row {record.row!r}: a point of its history lacks 'step'")


def read_record(profile: Profile, row: str) -> RunRecord:
    """Return the record of `row` from its files: of the run in progress, or of the final model.

    It is of the row as it was trained, whatever params.yaml says now.
    """
    running = (profile.training(row) / "card.json").is_file()
    folder = profile.training(row) if running else profile.model(row)
    card = read_facts(folder / "card.json")
    spec = as_trained(profile.params.row(row), card)
    measured = {} if running else _val_metrics(profile, row)
    return RunRecord(
        row=row,
        fingerprint=card["fingerprint"],
        attempt=card["attempt"],
        project=project_id(profile),
        description=_description(profile, row, spec, card["iterations"], measured),
        tags=_tags(profile, row, spec, card),
        params=_flat({key: card[key] for key in ("row", "train", "iterations", "parameters")}),
        history=[
            {key if key in ("step", "time") else f"train/{key}": v for key, v in point.items()}
            for point in read_metrics_log(folder / "journal.jsonl")
        ],
        metrics=measured | _annotation_metrics(profile, row),
        inputs=_inputs(profile, row, spec),
        artifacts=_artifacts(profile, row, spec),
        status=_status(profile, row) if running else "FINISHED",
    )


def _status(profile: Profile, row: str) -> str:
    return "RUNNING" if is_locked(profile, "train", row) else "KILLED"


def report_record(profile: Profile) -> RunRecord:
    """Return the record of the profile's page: a run of its own, which holds that file."""
    project = project_id(profile)
    return RunRecord(
        row=REPORT,
        fingerprint=REPORT,
        attempt=project,
        project=project,
        description=f"The page that compares all rows is {profile.report.name}, an artifact.",
        tags={"role": "report"},
        artifacts={profile.report.name: profile.report},
        status="FINISHED",
    )


def _tags(
    profile: Profile, row: str, spec: SupervisedRow, card: Mapping[str, Any]
) -> dict[str, str]:
    tags = {"role": "supervised", "setting": spec.labelled, "task": profile.params.task}
    tags |= {"backbone": spec.backbone, "seed": str(spec.seed)}
    tags |= {key: card[key] for key in ("precision", "device")}
    if isinstance(spec, DistilledRow):
        tags |= {"role": "distilled", "setting": f"{spec.labelled} + {spec.unlabelled}"}
        tags |= {"teacher": spec.teacher}
        if warnings := read_facts(profile.annotation_card(row)).get("warnings"):
            tags["warnings"] = "; ".join(warnings)
    tags |= {"role": "ablation"} if spec.ablation != Ablation() else {}
    command = f"datastill train {row}{profile.option}"
    return tags | dict(zip(SOURCE, ("LOCAL", command, card["code"]), strict=True))


def _description(
    profile: Profile, row: str, spec: SupervisedRow, iterations: int, measured: Mapping[str, float]
) -> str:
    task = profile.params.task
    text = f"{spec.backbone}, trained for {iterations} iterations on the labels of {spec.labelled}"
    if isinstance(spec, DistilledRow):
        text += f" and on annotations of {spec.unlabelled} generated by {spec.teacher}"
    for key, value in spec.ablation.model_dump(exclude_none=True).items():
        text += f", {key} {value}"
    if not measured:
        return f"{text}."
    ap, low, high = (measured[f"val/{task}/{name}"] for name in ("ap", "ap_low", "ap_high"))
    text += f". AP {ap:.2f} [{low:.2f}, {high:.2f}]"
    if (gain := measured.get(f"val/{task}/gain")) is not None:
        text += f", {gain:+.2f} over {profile.params.baseline(row)}"
    return f"{text}."


def _val_metrics(profile: Profile, row: str) -> dict[str, float]:
    """Return AP, its gain and pixel errors, {} if the metrics are of other weights or val."""
    if not (metrics := current_metrics(profile, row)):
        return {}
    views, (low, high) = metrics.get("with_views") or {}, metrics["interval"]
    values = {name: v for name, v in metrics.items() if name.startswith("ap") or name in NAMES}
    for name, bounds in (metrics.get("pixel_intervals") or {}).items():
        values |= dict(zip((f"{name}_low", f"{name}_high"), bounds or (), strict=False))
    values |= {f"{name}_with_views": value for name, value in views.items()}
    baseline = profile.params.baseline(row)
    if baseline and (before := current_metrics(profile, baseline)):
        values["gain"] = round(metrics["ap"] - before["ap"], 2)
    return _numbers(f"val/{metrics['task']}", values | {"ap_low": low, "ap_high": high})


def current_metrics(profile: Profile, row: str) -> dict[str, Any]:
    """Return the metrics of exactly these weights of `row` on this val, {} if there are none.

    Without its file, val is that of the metrics.
    """
    metrics, weights, val = (
        read_facts(profile.metrics(row)), profile.weights(row), profile.image_set("val"),
    )  # fmt: skip
    made = metrics.get("provenance", {})
    current = weights.is_file() and made.get("weights") == digest(weights)
    return metrics if current and (not val.is_file() or made["val"] == digest(val)) else {}


def _annotation_metrics(profile: Profile, row: str) -> dict[str, float]:
    if not (card := read_facts(profile.annotation_card(row))):
        return {}
    thresholds = card["thresholds"]
    chosen = {"instance_threshold": thresholds["instance"]}
    if keypoint := thresholds.get("keypoint"):
        chosen["keypoint_threshold"] = keypoint
    by_category = thresholds.get("by_category", {})
    for name, short in _short_names(by_category).items():
        chosen[f"threshold_of_{short}"] = by_category[name]
    values = {name: round(threshold["value"], 4) for name, threshold in chosen.items()}
    counts = ("instances", "instances_per_image", "keypoints_per_instance")
    values |= {name: card[name] for name in counts if name in card}
    expected = card.get("expected") or {}  # older cards have none
    values |= {f"expected_{name}": expected[name] for name in ("precision", "recall") if expected}
    return _numbers("annotations", values | (card["quality"] or {}))


def _short_names(categories: Iterable[str]) -> dict[str, str]:
    """Return a name for each category that MLflow takes; equal ones get a digest at the end."""
    short = {name: re.sub(r"[^\w.-]", "_", name)[:_LONGEST] for name in categories}
    counts = Counter(short.values())
    return {
        name: each if counts[each] == 1 else f"{each}-{sha256(name.encode()).hexdigest()[:8]}"
        for name, each in short.items()
    }


def _numbers(prefix: str, values: Mapping[str, Any]) -> dict[str, float]:
    return {f"{prefix}/{name}": v for name, v in values.items() if isinstance(v, int | float)}


def _inputs(profile: Profile, row: str, spec: SupervisedRow) -> list[DataInput]:
    inputs = [("labelled", spec.labelled, profile.image_set(spec.labelled))]
    if isinstance(spec, DistilledRow):
        inputs.append(("generated", f"generated for {row}", profile.annotations(row)))
        inputs.append(("unlabelled", spec.unlabelled, profile.image_set(spec.unlabelled)))
    inputs.append(("val", "val", profile.image_set("val")))
    return [
        DataInput(name, sha256, path.as_posix(), context, counts)
        for context, name, path in inputs
        if path.is_file()
        for sha256, counts in [_content(path, path.stat().st_mtime_ns, path.stat().st_size)]
    ]


@lru_cache(maxsize=16)
def _content(path: Path, modified_ns: int, size: int) -> tuple[str, dict[str, int]]:
    """Return digest and counts of a set, cached: a follower reads them every few seconds."""
    coco = read_coco(path)
    return digest(path), {"images": len(coco.images), "instances": len(coco.annotations)}


def _artifacts(profile: Profile, row: str, spec: SupervisedRow) -> dict[str, Path]:
    sets, files = [spec.labelled], {"metrics.json": profile.metrics(row)}
    if isinstance(spec, DistilledRow):
        sets.append(spec.unlabelled)
        files["annotations.json"] = profile.annotation_card(row)
        files["annotated.png"] = profile.sheet(row)
    return files | {f"sets/{name}.png": profile.sheet(name) for name in sets}


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in facts.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat
