"""Records that stages write and other commands read: metrics, annotation cards, model cards."""

from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datastill.errors import DataError
from datastill.io import read_json

Pair = Annotated[list[float], Field(min_length=2, max_length=2)]
Numbers = dict[str, float | None]
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
    interval: Pair
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
    """What `evaluate` measured of a row."""

    row: str
    images: int
    families: int | None = None
    instances: int
    with_views: _Measured | None = None
    provenance: _Evaluation


class _Annotation(_Machine):
    annotations: str
    teacher_weights: str
    views: int


class _Threshold(_Record):
    value: float | None = None


class AnnotationCard(_Record):
    """What `annotate` made for a row."""

    images: int
    instances: int
    thresholds: dict[str, _Threshold | None]
    quality: dict[str, Any] | None
    warnings: list[str] = []
    provenance: _Annotation


class TrainingCard(_Record):
    """How a row was trained."""

    fingerprint: str | None = None
    attempt: str | None = None
    code: str | None = None
    inputs: dict[str, Any] = {}


class _Lineage(_Record):
    weights: str


class ModelCard(_Record):
    """The card of an exported model."""

    format: int
    views: dict[str, Any]
    thresholds: dict[str, float] = {}
    lineage: _Lineage


_KINDS: dict[str, tuple[type[_Record], str, str]] = {  # by the folder: model, name, who writes it
    "metrics": (Metrics, "the metrics of a row", "run `datastill evaluate {row}` again"),
    "annotations": (AnnotationCard, "the card of annotations", "run `datastill annotate {row}`"),
}


def read_facts(path: Path) -> dict[str, Any]:
    """Return the content of metrics, or of the card of annotations or of a training run.

    {} if there is no such file; raises DataError if it is damaged.
    """
    training = (TrainingCard, "the card of a model", "train row {row} again")
    model, expected, advice = _KINDS.get(path.parent.name, training)
    row = path.parent.name if model is TrainingCard else path.stem
    return _read(path, model, expected, advice.format(row=row)) if path.is_file() else {}


def read_model_card(path: Path) -> dict[str, Any]:
    """Return the card of an exported model; raises DataError if it is absent or damaged."""
    return _read(path, ModelCard, "the card of an exported model", "export the model again")


def _read(path: Path, model: type[_Record], expected: str, advice: str) -> dict[str, Any]:
    content = read_json(path, expected, advice)
    try:
        model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        actual = "" if first["type"] == "missing" else f", found {_excerpt.repr(first['input'])}"
        reason = f"{place}: {first['msg'].lower()}{actual}"
        raise DataError(f"{path}: expected {expected}; {reason}; {advice}") from None
    return dict(content)
