"""params.yaml and expected.yaml, read and checked: every wrong key is named, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from datastill.errors import ParamsError
from datastill.project.checks import misfits
from datastill.project.schema import Expected, Params

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, ten times as fast


def load_params(path: Path) -> Params:
    """Read and check `path`; raises ParamsError naming every wrong key by its path."""
    raw = read_yaml(path)
    named = [*_dangling(raw), *_loops(raw), *misfits(raw)]
    problems = _invalid(Params, raw) + [f"{place}: {text}" for place, text in named]
    if problems:
        raise _refusal(path, problems)
    return Params.model_validate(raw)


def load_expected(path: Path) -> Expected:
    """Read and check `path`; raises ParamsError naming every wrong key by its path."""
    if not path.is_file():
        accept = f"datastill accept --profile {path.parent.name}"
        raise ParamsError(f"{path}: no such file; `{accept}` writes it from the present results")
    raw = read_yaml(path)
    if problems := _invalid(Expected, raw):
        raise _refusal(path, problems)
    return Expected.model_validate(raw)


def read_yaml(path: Path) -> Any:
    """Return what `path` holds; raises ParamsError where it is absent or no YAML."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run datastill in the project's root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is no YAML: {error}") from None


def _refusal(path: Path, problems: list[str]) -> ParamsError:
    count = "1 wrong key" if len(problems) == 1 else f"{len(problems)} wrong keys"
    return ParamsError(f"{path} has {count}\n  " + "\n  ".join(problems))


def _invalid(model: type[BaseModel], raw: Any) -> list[str]:
    try:
        model.model_validate(raw)
    except ValidationError as error:
        return [f"{_path(raw, e) or 'the file'}: {_wording(e)}" for e in error.errors()]
    return []


def _path(raw: Any, error: Any) -> str:
    """Return where in the file an error is: pydantic also names which kind of section it tried."""
    parts: list[Any] = []
    place = raw
    for part in error["loc"]:
        if isinstance(place, Mapping | list) and _has(place, part):
            parts, place = [*parts, part], place[part]
    absent = error["loc"][-1:] if error["type"] == "missing" else ()
    return ".".join(map(str, [*parts, *absent]))


def _has(place: Mapping[str, Any] | list[Any], part: Any) -> bool:
    return part in place if isinstance(place, Mapping) else isinstance(part, int)


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
    if "val" in sets:
        yield "data.sets.val", "val has a section of its own, data.val"
    for name in sets:
        yield from _dangling_in_union(name, sets)
        yield from _dangling_in_folder(name, sets)
    known = {"set": sets, "row": {**supervised, **_mapping(raw, "ensembles"), **distilled}}
    for place, row in _rows(raw, "supervised", "distilled"):
        yield from _dangling_in_row(place, row, known)
    for place, ensemble in _rows(raw, "ensembles"):
        if place.partition(".")[2] in {**supervised, **distilled}:
            yield place, "is the name of a row, too; its model would be overwritten"
        yield from (
            (f"{place}.{part}", f"{row!r} is no row in supervised")
            for part, row in ensemble.items()
            if isinstance(row, str) and row not in supervised
        )
    for name in _names(_mapping(raw, "evaluate"), "with_views"):
        if name not in {**supervised, **distilled}:
            yield "evaluate.with_views", f"{name!r} is no row"


def _dangling_in_union(name: str, sets: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in _names(_mapping(sets, name), "union"):
        if part not in sets:
            yield f"data.sets.{name}.union", f"{part!r} is no set in data.sets"
        elif "union" in _mapping(sets, part):
            yield f"data.sets.{name}.union", f"{part!r} is a union itself; name its parts"


def _dangling_in_folder(name: str, sets: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    section = _mapping(sets, name)
    for other in _names(section, "without") if "folder" in section else []:
        if other != "val" and "annotations" not in _mapping(sets, other):
            yield f"data.sets.{name}.without", f"{other!r} is no set with annotations"


def _rows(raw: Any, *sections: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for section in sections:
        rows = _mapping(raw, section)
        yield from ((f"{section}.{name}", _mapping(rows, name)) for name in rows)


def _loops(raw: Any) -> Iterator[tuple[str, str]]:
    """Yield every circle of rows that are each other's teachers: none of them could ever start."""
    rows = {name: row for name, row in _mapping(raw, "distilled").items() if isinstance(row, dict)}
    told: set[str] = set()
    for name in rows:
        line = [name]
        while line[-1] in rows and len(line) <= len(rows):
            line.append(str(rows[line[-1]].get("teacher")))
            if line[-1] == name and name not in told:
                told |= {*line}
                yield f"distilled.{name}.teacher", f"goes in a circle: {' of '.join(line)}"
                break


def _dangling_in_row(
    place: str, row: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    for key, kind in (("labelled", "set"), ("unlabelled", "set"), ("teacher", "row")):
        if isinstance(row.get(key), str) and row[key] not in known[kind]:
            where = "data.sets" if kind == "set" else "supervised, distilled or ensembles"
            yield f"{place}.{key}", f"{row[key]!r} is no {kind} in {where}"


def _names(raw: Mapping[str, Any], key: str) -> list[str]:
    value = raw.get(key)
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _mapping(raw: Any, key: str) -> Mapping[str, Any]:
    value = raw.get(key) if isinstance(raw, Mapping) else None
    return value if isinstance(value, Mapping) else {}
