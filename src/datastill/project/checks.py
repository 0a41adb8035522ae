"""Cross-checks of params.yaml: names that nothing defines, and values that contradict others."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from datastill.model.backbones import PUBLISHED

Problem = tuple[str, str]  # path of the key, reason
Reference = tuple[str, Any, Collection[str], str]  # path, name, the names allowed there, their kind


def misfits(raw: Any) -> Iterator[Problem]:
    """Yield every key of `raw` that contradicts another one; types are checked elsewhere."""
    for place, name, known, kind in (*_references_of_sets(raw), *_references_of_rows(raw)):
        if isinstance(name, str) and name not in known:
            yield place, f"{name!r} is not a {kind}"
    yield from _wrong_names(raw)
    yield from _models_of_one_name(raw)
    yield from _teacher_cycles(raw)
    yield from _without_published_detector(raw)
    if (task := _part(raw, "task")) not in ("keypoints", "boxes"):
        return
    tables = _part(raw, "tables")
    for name in tables if isinstance(tables, list) else []:
        if (name == "table4") != (task == "boxes"):  # the only one of boxes
            yield "tables", f"task {task} has no {name}"
    compared = [name for name in _names(raw, "tables") if name in ("table1", "table4")]
    if compared and _part(raw, "distilled") == {}:
        yield "distilled", f"there is no row for {compared[0]} to compare with its teacher; add one"
    yield from _too_many_views(raw)
    yield from _unlike_their_teacher(raw)
    yield from _teachers_of_another_task(raw)
    yield from (_unfit_for_boxes if task == "boxes" else _unfit_for_keypoints)(raw)


def _references_of_sets(raw: Any) -> Iterator[Reference]:
    sets = _mapping(raw, "data", "sets")
    annotated = {"val"} | {name for name in sets if "annotations" in _mapping(sets, name)}
    for name in sets:
        for part in _names(sets, name, "union"):
            yield f"data.sets.{name}.union", part, sets, "set in data.sets"
        chosen = {n for n in sets if {"style", "part", "videos"} & {*_mapping(sets, n)}}
        yield f"data.sets.{name}.redraws", _part(sets, name, "redraws"), chosen, "set with a seed"
        for other in _names(sets, name, "without") if "folder" in _mapping(sets, name) else []:
            yield f"data.sets.{name}.without", other, annotated, "set with annotations"


def _references_of_rows(raw: Any) -> Iterator[Reference]:
    sets, supervised, rows = _mapping(raw, "data", "sets"), _mapping(raw, "supervised"), _rows(raw)
    teachers = {*rows, *_mapping(raw, "ensembles"), *(name for _, name in _ready(raw))}
    for section in ("supervised", "distilled"):
        for name, row in _mapping(raw, section).items():
            place, of_any = f"{section}.{name}", "row, an ensemble or one of teachers"
            yield f"{place}.labelled", _part(row, "labelled"), sets, "set in data.sets"
            yield f"{place}.unlabelled", _part(row, "unlabelled"), sets, "set in data.sets"
            yield f"{place}.teacher", _part(row, "teacher"), teachers, of_any
    for name in _mapping(raw, "ensembles"):
        for part, row in _mapping(raw, "ensembles", name).items():
            yield f"ensembles.{name}.{part}", row, supervised, "row in supervised"
    for name in _names(raw, "evaluate", "with_views"):
        yield "evaluate.with_views", name, rows, "row"


def _wrong_names(raw: Any) -> Iterator[Problem]:
    """Yield the names of sets that conflict with others in `raw`."""
    sets = _mapping(raw, "data", "sets")
    if "val" in sets:
        yield "data.sets.val", "val has a section of its own, data.val"
    for name in sets:
        for part in _names(sets, name, "union"):
            if "union" in _mapping(sets, part):
                yield f"data.sets.{name}.union", f"{part!r} is a union itself; name its parts"


def _models_of_one_name(raw: Any) -> Iterator[Problem]:
    """Yield the ensembles and ready teachers whose model would overwrite another one."""
    rows, ensembles, ready = _rows(raw), _mapping(raw, "ensembles"), _ready(raw)
    for name in rows:
        if name in ensembles:
            yield f"ensembles.{name}", "is also the name of a row, whose model it would overwrite"
    for place, name in ready:
        if [*rows, *ensembles, *(other for _, other in ready)].count(name) > 1:
            yield place, "is also the name of another model, which it would overwrite"


def _teacher_cycles(raw: Any) -> Iterator[Problem]:
    """Yield every cycle of rows that are each other's teachers: none of them could start."""
    teachers = {
        name: str(_part(row, "teacher")) for name, row in _mapping(raw, "distilled").items()
    }
    reported: set[str] = set()
    for name in teachers:
        chain = [name]
        while chain[-1] in teachers and chain[-1] not in chain[:-1]:
            chain.append(teachers[chain[-1]])
        if chain[-1] == name and name not in reported:
            reported |= {*chain}
            yield f"distilled.{name}.teacher", f"forms a cycle: {' taught by '.join(chain)}"


def _without_published_detector(raw: Any) -> Iterator[Problem]:
    """Yield the rows that start from COCO with a backbone of which torchvision has no detector."""
    known = dict.fromkeys(backbone for backbone, _ in PUBLISHED.values())
    for section in ("supervised", "distilled"):
        for name, row in _mapping(raw, section).items():
            start, backbone = _part(row, "ablation", "start"), _part(row, "backbone")
            if (start or _part(raw, "train", "start")) == "coco" and backbone not in known:
                reason = f"torchvision's detectors on COCO have {', '.join(known)}, not {backbone}"
                yield f"{section}.{name}.backbone", f"cannot start from coco: {reason}"


def _too_many_views(raw: Any) -> Iterator[Problem]:
    sizes = _part(raw, "views", "short_sides")
    there = len(sizes) * (1 + bool(_part(raw, "views", "flip"))) if isinstance(sizes, list) else 0
    agreement = _part(raw, "select", "keypoints") == "agreement"
    needed = _part(raw, "select", "min_views") if agreement else None
    for name, row in _mapping(raw, "distilled").items():
        asked = _part(row, "ablation", "views")
        if isinstance(asked, int) and asked > max(1, there):
            yield f"distilled.{name}.ablation.views", f"expected 1 to {there}, found {asked}"
        views = asked if isinstance(asked, int) else there
        if isinstance(needed, int) and needed > views:
            yield "select.min_views", f"row {name} has {views} views, so {needed} never agree"


def _unlike_their_teacher(raw: Any) -> Iterator[Problem]:
    """Yield the students whose starting weights do not fit them."""
    for name, row in _mapping(raw, "distilled").items():
        if _part(row, "ablation", "start") != "teacher":
            continue
        teacher, place = str(_part(row, "teacher")), f"distilled.{name}.ablation.start"
        needed, backbone = _part(row, "backbone"), _part(_rows(raw), teacher, "backbone")
        if teacher in _mapping(raw, "ensembles"):
            yield place, f"{teacher} is three models; name one of them"
        elif backbone is not None and backbone != needed:
            yield place, f"{teacher} has backbone {backbone}, not {needed}"


def _teachers_of_another_task(raw: Any) -> Iterator[Problem]:
    for name, published in _mapping(raw, "teachers", "torchvision").items():
        detects = PUBLISHED.get(published) if isinstance(published, str) else None
        if detects and bool(detects[1]) != (_part(raw, "task") == "keypoints"):
            task = "keypoints" if detects[1] else "boxes"
            yield f"teachers.torchvision.{name}", f"detects {task}, not {_part(raw, 'task')}"


def _unfit_for_boxes(raw: Any) -> Iterator[Problem]:
    for key in ("keypoints", "min_probability", "min_views"):
        if _part(raw, "select", key) is not None:
            yield f"select.{key}", "boxes have no keypoints; write null"
    if _part(raw, "ensembles"):
        yield "ensembles", "boxes have no heatmaps to average; write {}"
    for name, row in _mapping(raw, "distilled").items():
        if _part(row, "ablation", "average") is not None:
            yield f"distilled.{name}.ablation.average", "boxes have no heatmaps to average"
        if _part(row, "ablation", "keypoints") is not None:
            yield f"distilled.{name}.ablation.keypoints", "boxes have no keypoints"
    if _part(raw, "select", "instances") == "prior":
        yield "select.instances", "one prior cannot serve every category; choose match or fixed"


def _unfit_for_keypoints(raw: Any) -> Iterator[Problem]:
    if _mapping(raw, "select").get("keypoints", "absent") is None:
        yield "select.keypoints", "task keypoints needs a rule for them, found null"
    places = {f"sets.{name}": spec for name, spec in _mapping(raw, "data", "sets").items()}
    for place, spec in {**places, "val": _part(raw, "data", "val")}.items():
        if _part(spec, "style") == "household":
            yield f"data.{place}.style", "household has no keypoints; choose everyday or sport"


def _rows(raw: Any) -> Mapping[str, Any]:
    return {**_mapping(raw, "supervised"), **_mapping(raw, "distilled")}


def _ready(raw: Any) -> list[tuple[str, str]]:
    """Return the path and the name of every teacher that is not trained here."""
    kinds = ((kind, _mapping(raw, "teachers", kind)) for kind in ("torchvision", "exported"))
    return [(f"teachers.{kind}.{name}", name) for kind, named in kinds for name in named]


def _part(raw: Any, *keys: str) -> Any:
    """Return the value at a path, None if there is none."""
    for key in keys:
        raw = raw.get(key) if isinstance(raw, Mapping) else None
    return raw


def _mapping(raw: Any, *keys: str) -> Mapping[str, Any]:
    value = _part(raw, *keys)
    return value if isinstance(value, Mapping) else {}


def _names(raw: Any, *keys: str) -> list[str]:
    value = _part(raw, *keys)
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
