"""params.yaml, checked: one frozen section per stage, no unknown keys, no defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datastill.errors import ParamsError
from datastill.evaluate.expected import Expectation

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Backbone = Literal["small"]


class Section(BaseModel):
    """A part of params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DrawnImages(Section):
    """A set to draw: `images` is the paper's number, divided by `scale`."""

    images: Positive
    style: Literal["everyday", "sport"]


class Union(Section):
    """A set made of other sets."""

    union: Annotated[list[str], Field(min_length=1)]


class Data(Section):
    """The image sets and where they come from."""

    source: Literal["drawn"]
    seed: int
    width: Positive
    height: Positive
    sets: dict[str, DrawnImages | Union]
    val: DrawnImages


class Initial(Section):
    """How `datastill pretrain` makes the initial weights, from drawn things of `side` pixels."""

    pictures: Positive
    held_out: Positive
    side: Positive
    epochs: Positive
    batch: Positive
    base_rate: Annotated[float, Field(gt=0)]
    warmup: Annotated[int, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]


class Train(Section):
    """How teacher and student are trained; iterations stand with each row."""

    start: Literal["initial", "random"]
    batch: Positive
    labelled_share: Share
    base_rate: Annotated[float, Field(gt=0)]
    warmup: Annotated[int, Field(ge=0)]
    drops: list[Share]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    short_sides: Annotated[list[Positive], Field(min_length=2, max_length=2)]
    long_side: Positive
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
    checkpoint_every: Positive
    log_every: Positive
    workers: Annotated[int, Field(ge=0)]


class Views(Section):
    """The plain view of every test, and the scales of multi-transform inference."""

    plain_short_side: Positive
    short_sides: Annotated[list[Positive], Field(min_length=1)]
    long_side: Positive
    flip: bool
    batch: Positive
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


class SupervisedRow(Section):
    """A model trained on human labels; `iterations` is the paper's number, divided by `scale`."""

    labelled: str
    backbone: Backbone
    iterations: Positive
    seed: Annotated[int, Field(ge=0)]


class DistilledRow(SupervisedRow):
    """A model trained on human labels and on those that `teacher` generated."""

    unlabelled: str
    teacher: str


class Evaluate(Section):
    """What evaluation is asked beside AP; rows in `with_views` are also tested with all views."""

    resamples: Positive
    with_views: list[str]


class Tracking(Section):
    """Where MLflow keeps its runs, and how long a stage waits for it at its end."""

    uri: str
    patience_seconds: Annotated[float, Field(gt=0)]


class Params(Section):
    """The whole of params.yaml."""

    profile: str
    root: str
    params_file: str
    task: Literal["keypoints"]
    scale: Annotated[float, Field(gt=0)]
    data: Data
    initial: Initial
    train: Train
    views: Views
    supervised: dict[str, SupervisedRow]
    distilled: dict[str, DistilledRow]
    evaluate: Evaluate
    tracking: Tracking

    def rows(self) -> dict[str, SupervisedRow]:
        """Return all rows, supervised ones first."""
        return {**self.supervised, **self.distilled}

    def row(self, name: str) -> SupervisedRow:
        """Return the row called `name`; raises ParamsError listing those there are."""
        if name not in self.rows():
            raise ParamsError(
                f"{self.params_file}: no row {name!r}; there are {', '.join(self.rows())}"
            )
        return self.rows()[name]

    def scaled(self, number: int) -> int:
        """Return a number of images or iterations of the paper at this profile's scale."""
        return max(1, round(number / self.scale))


class Expected(Section):
    """expected.yaml: values with tolerances by row and metric, and orders between rows."""

    class Value(Section):
        """A number and how far off it may be."""

        value: float
        tolerance: Annotated[float, Field(gt=0)]

    values: dict[str, dict[str, Value]]
    orders: list[str]

    def expectations(self) -> dict[str, dict[str, Expectation]]:
        """Return the values as the evaluation layer reads them."""
        return {
            row: {name: Expectation(v.value, v.tolerance) for name, v in metrics.items()}
            for row, metrics in self.values.items()
        }


def load_params(path: Path) -> Params:
    """Read and check `path`; raises ParamsError naming every wrong key by its path."""
    raw = _read_yaml(path)
    problems = _invalid(Params, raw) + [f"{place}: {text}" for place, text in _dangling(raw)]
    if problems:
        raise _refusal(path, problems)
    return Params.model_validate(raw)


def load_expected(path: Path) -> Expected:
    """Read and check `path`; raises ParamsError naming every wrong key by its path."""
    raw = _read_yaml(path)
    if problems := _invalid(Expected, raw):
        raise _refusal(path, problems)
    return Expected.model_validate(raw)


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run datastill in the project's root") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is no YAML: {error}") from None


def _refusal(path: Path, problems: list[str]) -> ParamsError:
    count = "1 wrong key" if len(problems) == 1 else f"{len(problems)} wrong keys"
    return ParamsError(f"{path} has {count}\n  " + "\n  ".join(problems))


def _invalid(model: type[BaseModel], raw: Any) -> list[str]:
    try:
        model.model_validate(raw)
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, e['loc'])) or 'the file'}: {_wording(e)}" for e in error.errors()
        ]
    return []


def _wording(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    if error["type"] == "missing":
        return "missing"
    return f"{error['msg'][0].lower()}{error['msg'][1:]}, found {error['input']!r}"


def _dangling(raw: Any) -> Iterator[tuple[str, str]]:
    """Yield every name in `raw` that points to no set or row; shapes are checked elsewhere."""
    sets = _mapping(_mapping(raw, "data"), "sets")
    supervised, distilled = _mapping(raw, "supervised"), _mapping(raw, "distilled")
    for name in sets:
        for part in _mapping(sets, name).get("union") or []:
            if part not in sets:
                yield f"data.sets.{name}.union", f"{part!r} is no set in data.sets"
    for place, row in _rows(raw, "supervised", "distilled"):
        yield from _dangling_in_row(place, row, {"set": sets, "row": supervised})
    for name in _mapping(raw, "evaluate").get("with_views") or []:
        if name not in {**supervised, **distilled}:
            yield "evaluate.with_views", f"{name!r} is no row"


def _rows(raw: Any, *sections: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for section in sections:
        rows = _mapping(raw, section)
        yield from ((f"{section}.{name}", _mapping(rows, name)) for name in rows)


def _dangling_in_row(
    place: str, row: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    for key, kind in (("labelled", "set"), ("unlabelled", "set"), ("teacher", "row")):
        if isinstance(row.get(key), str) and row[key] not in known[kind]:
            where = "data.sets" if kind == "set" else "supervised"
            yield f"{place}.{key}", f"{row[key]!r} is no {kind} in {where}"


def _mapping(raw: Any, key: str) -> Mapping[str, Any]:
    value = raw.get(key) if isinstance(raw, Mapping) else None
    return value if isinstance(value, Mapping) else {}
