"""What of params.yaml does not go with its task?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

TASKS = ("keypoints", "boxes")
OF_BOXES = ("table4",)  # all others are of keypoints


def misfits(raw: Any) -> Iterator[tuple[str, str]]:
    """Yield where in `raw` something else is needed and why; shapes are checked elsewhere."""
    task = _part(raw, "task")
    if not isinstance(task, str) or task not in TASKS:
        return
    tables = _part(raw, "tables")
    for name in tables if isinstance(tables, list) else []:
        if (name in OF_BOXES) != (task == "boxes"):
            yield "tables", f"task {task} has no {name}"
    yield from _too_many_views(raw)
    yield from _not_like_their_teacher(raw)
    yield from (_for_boxes if task == "boxes" else _for_keypoints)(raw)


def _too_many_views(raw: Any) -> Iterator[tuple[str, str]]:
    views = _part(raw, "views")
    sizes = _part(views, "short_sides")
    there = (len(sizes) if isinstance(sizes, list) else 0) * (2 if _part(views, "flip") else 1)
    select = _part(raw, "select")
    least = _part(select, "min_views") if _part(select, "keypoints") == "agreement" else None
    for name, row in _of(raw, "distilled").items():
        asked = _part(_part(row, "ablation"), "views")
        if isinstance(asked, int) and asked > max(1, there):
            yield f"distilled.{name}.ablation.views", f"expected 1 to {there}, found {asked}"
        views = asked if isinstance(asked, int) else there
        if isinstance(least, int) and least > views:
            yield "select.min_views", f"row {name} has {views} views, so {least} never agree"


def _not_like_their_teacher(raw: Any) -> Iterator[tuple[str, str]]:
    """Yield the students that are to start from weights that do not fit them."""
    students = _of(raw, "distilled")
    rows = {**_of(raw, "supervised"), **students}
    for name, row in students.items():
        if _part(_part(row, "ablation"), "start") != "teacher":
            continue
        teacher = str(_part(row, "teacher"))
        theirs, mine = _part(rows.get(teacher), "backbone"), _part(row, "backbone")
        if teacher in _of(raw, "ensembles"):
            yield f"distilled.{name}.ablation.start", f"{teacher} is three models; name one of them"
        elif theirs is not None and theirs != mine:
            yield f"distilled.{name}.ablation.start", f"{teacher} has backbone {theirs}, not {mine}"


def _for_boxes(raw: Any) -> Iterator[tuple[str, str]]:
    select = _part(raw, "select")
    for key in ("keypoints", "min_probability", "min_views"):
        if _part(select, key) is not None:
            yield f"select.{key}", "boxes have no keypoints; write null"
    if _part(raw, "ensembles"):
        yield "ensembles", "boxes have no heatmaps to average; write {}"
    for name, row in _of(raw, "distilled").items():
        if _part(_part(row, "ablation"), "average") is not None:
            yield f"distilled.{name}.ablation.average", "boxes have no heatmaps to average"
    if _part(select, "instances") == "prior":
        yield "select.instances", "one prior is none for every category; choose match or fixed"


def _for_keypoints(raw: Any) -> Iterator[tuple[str, str]]:
    select, data = _part(raw, "select"), _part(raw, "data")
    if isinstance(select, Mapping) and select.get("keypoints", "absent") is None:
        yield "select.keypoints", "task keypoints needs a rule for them, found null"
    places = {f"sets.{name}": spec for name, spec in _of(data, "sets").items()}
    for place, spec in {**places, "val": _part(data, "val")}.items():
        if _part(spec, "style") == "household":
            yield f"data.{place}.style", "household has no keypoints; choose everyday or sport"


def _of(raw: Any, key: str) -> Mapping[str, Any]:
    value = _part(raw, key)
    return value if isinstance(value, Mapping) else {}


def _part(raw: Any, key: str) -> Any:
    return raw.get(key) if isinstance(raw, Mapping) else None
