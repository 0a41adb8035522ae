"""Records that stages write and others read: metrics, cards, dvc.lock, a table of candidates."""

from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datastill.errors import DataError
from datastill.io import parse_json, read_json

Pair = Annotated[list[float], Field(min_length=2, max_length=2)]
Numbers = dict[str, float | None]
_EVIDENCE = (
    "category_id", "score", "threshold", "rule", "accepted", "box", "keypoints", "spread",
    "agreeing", "kept", "views", "box_spread",
)  # fmt: skip
_excerpt = Repr()
_excerpt.maxstring = _excerpt.maxother = _excerpt.maxlong = 80


class _Record(BaseModel):
    """The parts of a record that are read; others stay as they are."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Measured(_Record):
    ap: float
    ap50: float | None = None
    ap75: float | None = None
    ap_small: float | None = None
    ap_medium: float | None = None
    ap_large: float | None = None
    rmse: float | None = None
    median: float | None = None
    pck05: float | None = None
    pck10: float | None = None
    detected: float | None = None
    interval: Pair | None = None
    pixel_intervals: dict[str, Pair | None] = {}
    by_keypoint: dict[str, Numbers] = {}
    gain: float | None = None
    gain_interval: Pair | None = None


class _Machine(_Record):
    code: str
    device: str
    threads: int
    torch: str
    precision: str | None = None


class _Evaluation(_Machine):
    weights: str
    fingerprint: str
    val: str


class Metrics(_Measured):
    """What `evaluate` measured of a row; records without provenance may be of an early version."""

    images: int | None = None
    families: int | None = None
    instances: int | None = None
    with_views: _Measured | None = None
    provenance: _Evaluation | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Metrics":
        if self.provenance and None in (self.interval, self.images, self.instances):
            raise ValueError("it lacks interval, images or instances")
        return self


class _Annotation(_Machine):
    annotations: str
    teacher_weights: str
    views: int


class _Threshold(_Record):
    value: float | None = None


class _Thresholds(_Record):
    instance: _Threshold | None = None
    keypoint: _Threshold | None = None
    by_category: dict[str, _Threshold] = {}
    keypoint_by_type: dict[str, _Threshold] = {}


class AnnotationCard(_Record):
    """What `annotate` made for a row."""

    images: int
    instances: int
    thresholds: _Thresholds
    quality: dict[str, Any] | None
    warnings: list[str] = []
    provenance: _Annotation


class TrainingCard(_Record):
    """How a row was trained."""

    fingerprint: str | None = None
    attempt: str | None = None
    code: str | None = None
    row: dict[str, Any] = {}
    inputs: dict[str, Any] = {}


class _Lineage(_Record):
    weights: str


class ModelCard(_Record):
    """The card of an exported model."""

    format: int
    views: dict[str, Any]
    thresholds: dict[str, float] = {}
    lineage: _Lineage


class _Entry(_Record):
    path: str
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")] = ""


class _Stage(_Record):
    deps: list[_Entry] = []
    outs: list[_Entry] = []
    params: dict[str, dict[str, Any]] = {}


class LockFile(_Record):
    """A dvc.lock."""

    stages: dict[str, _Stage]


class _Usage(_Record):
    card: str
    peak_bytes: int
    peak_gpu_bytes: int | None = None


_KINDS: dict[str, tuple[type[_Record], str, str]] = {  # by the folder of a file
    "metrics": (Metrics, "the metrics of a row", "run `datastill evaluate {row}` again"),
    "annotations": (
        AnnotationCard,
        "the card of annotations",
        "run `datastill annotate {row}` again",
    ),
    "usage": (_Usage, "the peak memory of a training run", "delete it"),
}


def read_facts(path: Path) -> dict[str, Any]:
    """Return the content of metrics, or of the card or peak memory of annotations or training.

    {} if there is no such file; raises DataError if it is damaged.
    """
    training = (TrainingCard, "the card of a model", "run `datastill train {row}` again")
    kind = training if path.name == "card.json" else _KINDS.get(path.parent.name, training)
    model, expected, advice = kind
    row = path.parent.name if model is TrainingCard else path.stem
    profile = ("", *path.parts[1:2])[-1]  # of results/<profile>/ or work/<profile>/
    row += "" if profile in ("", "miniature") or path.is_absolute() else f" --profile {profile}"
    return _read(path, model, expected, advice.format(row=row)) if path.is_file() else {}


def read_model_card(path: Path) -> dict[str, Any]:
    """Return the card of an exported model; raises DataError if it is absent or damaged."""
    return _read(
        path, ModelCard, "the card of an exported model", "`datastill export ROW` writes it"
    )


def read_lock(path: Path) -> dict[str, Any]:
    """Return the content of a dvc.lock; raises DatastillError if it is absent or damaged."""
    from datastill.project.loading import read_yaml  # not for the served model

    advice = f"`git checkout {path}` restores it, `dvc repro` writes it"
    content = read_yaml(path, by_hand=False)
    return _checked(str(path), content, LockFile, "DVC's lock file", advice)


def parse_metrics(text: bytes, source: str) -> dict[str, Any]:
    """Return the metrics of a row from the `text` of their file; raises DataError."""
    advice = "choose another revision"
    try:
        content = parse_json(text.decode())
    except ValueError as error:
        raise DataError(f"{source}: expected metrics, found other text: {error}") from None
    return _checked(source, content, Metrics, "the metrics of a row", advice)


def read_evidence(path: Path, image_id: int, advice: str) -> list[dict[Any, Any]]:
    """Return the candidates in an image, from the Parquet table that stage `annotate` wrote.

    Raises DataError, with `advice`, if it is damaged.
    """
    import pandas as pd
    from pyarrow import ArrowException

    try:
        table = pd.read_parquet(path, filters=[("image_id", "=", image_id)])
    except (ArrowException, OSError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: expected candidates, found no table: {reason}; {advice}"
        ) from None
    if missing := ", ".join(name for name in _EVIDENCE if name not in table):
        raise DataError(f"{path}: expected candidates, found no column {missing}; {advice}")
    return table.to_dict("records")


def _read(path: Path, model: type[_Record], expected: str, advice: str) -> dict[str, Any]:
    return _checked(str(path), read_json(path, expected, advice), model, expected, advice)


def _checked(
    source: str, content: Any, model: type[_Record], expected: str, advice: str
) -> dict[str, Any]:
    try:
        model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        actual = "" if first["type"] == "missing" else f", found {_excerpt.repr(first['input'])}"
        reason = f"{place}: {first['msg'].lower()}{actual}"
        raise DataError(f"{source}: expected {expected}; {reason}; {advice}") from None
    return dict(content)
