"""params.yaml and expected.yaml, read and checked; one error names all wrong keys."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from reprlib import Repr
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from datastill.errors import ParamsError
from datastill.io import check_extent
from datastill.project.checks import Problem, misfits
from datastill.project.schema import Expected, Params
from datastill.project.yaml_rules import disagreements

RENAMED = {
    "initial": {"base_rate": "base_lr"},
    "train": {"base_rate": "base_lr", "drops": "milestones", "images_per_pass": "micro_batch_size"},
    "select": {
        "least_ignored": "min_ignored",
        "least_probability": "min_probability",
        "least_score": "min_score",
        "least_views": "min_views",
        "most_refused": "max_unreadable_fraction",
    },
}  # section: former key: current key; dvc.lock and git have the former ones
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, ten times as fast
_shortened = Repr()
_shortened.maxstring = _shortened.maxother = 200  # characters of a wrong value to show
excerpt = _shortened.repr
_Model = TypeVar("_Model", bound=BaseModel)


def load_params(path: Path) -> Params:
    """Read and check `path`; raises ParamsError naming every wrong key by its path."""
    raw = read_yaml(path)
    return validated(path, Params, raw, [*misfits(raw)])


def load_expected(path: Path) -> Expected:
    """Read and check `path`; raises ParamsError naming every wrong key by its path."""
    if not path.is_file():
        accept = f"datastill accept --profile {path.parent.name}"
        raise ParamsError(f"{path}: no such file; `{accept}` writes it from the present results")
    return validated(path, Expected, read_yaml(path))


def read_yaml(path: Path, by_hand: bool = True) -> Any:
    """Return the content of `path`; raises ParamsError if it is absent or not YAML.

    Also if it is written `by_hand` and DVC would read it differently.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=_Loader)
        check_extent(content)
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run datastill in the project's root") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ParamsError(f"{path} is not YAML: {error}") from None
    if by_hand and (faults := sorted(disagreements(yaml.compose(text, Loader=_Loader)))):
        lines = [f"line {line}: {reason}" for line, reason in faults]
        raise ParamsError(f"{path}: " + "\n  ".join(lines))
    return content


def validated(
    path: Path, model: type[_Model], raw: Any, contradictions: Sequence[Problem] = ()
) -> _Model:
    """Return `raw`, the content of `path`, as a model; raises ParamsError naming wrong keys."""
    problems = [*contradictions]
    try:
        loaded = model.model_validate(raw)
    except ValidationError as error:
        problems = [*_invalid(raw, error), *problems]
    if problems:
        count = "1 wrong key" if len(problems) == 1 else f"{len(problems)} wrong keys"
        lines = [f"{place or 'the file'}: {reason}" for place, reason in problems]
        raise ParamsError("\n  ".join([f"{path} has {count}", *lines]))
    return loaded


def _invalid(raw: Any, error: ValidationError) -> Iterator[Problem]:
    for detail in error.errors():
        path, kind = _path(raw, detail), detail["type"]
        section, _, key = path.rpartition(".")
        renamed = RENAMED.get(section, {})
        if kind == "extra_forbidden":
            now = f"; it is called {renamed[key]} now" if key in renamed else ""
            yield path, f"unknown key{now}"
        elif kind != "missing":
            message = detail["msg"]
            yield path, f"{message[0].lower()}{message[1:]}, found {excerpt(detail['input'])}"
        elif not renamed or key not in {renamed.get(held) for held in raw[section]}:
            yield path, "missing"


def _path(raw: Any, detail: Any) -> str:
    """Return the path of an error in the file, without the kind of section that pydantic adds."""
    parts: list[Any] = []
    for part in detail["loc"]:
        inside = part in raw if isinstance(raw, Mapping) else isinstance(part, int)
        if isinstance(raw, Mapping | list) and inside:
            parts, raw = [*parts, part], raw[part]
    absent = detail["loc"][-1:] if detail["type"] == "missing" else ()
    return ".".join(map(str, [*parts, *absent]))
