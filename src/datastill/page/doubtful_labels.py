"""Suspected errors in human labels."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datastill.coco.format import Coco, Record
from datastill.evaluation.label_errors import CLASS, COUNTED, Suspect, suspects
from datastill.page.blocks import (
    Download,
    Entry,
    Gallery,
    Group,
    Picture,
    Section,
    Table,
    Text,
    coco_download,
)
from datastill.page.evidence_reader import as_result, read_candidates
from datastill.page.finished_run import FinishedRun
from datastill.page.pictures import thumbnail, window
from datastill.page.worth_labelling import worth_labelling

_FEW, _SHOWN = 4, 12  # pictures: at least, and at most
_LISTED = 50  # lines of a table
_BYTES = 300_000  # of the annotations in a download
_DOUBTFUL = 0.3  # suspicion from which a label is exported


def labels_section(run: FinishedRun) -> Section:
    """Return the suspects of val and of labelled sets that no model learned, and what to label."""
    groups = [_of_val(run)]
    groups += [
        group
        for name in dict.fromkeys(setting.unlabelled for setting in run.settings)
        if (group := _of_unlabelled(run, name))
    ]
    groups += worth_labelling(run)
    learned = ", ".join(sorted({run.original(s["labelled"]) for s in run.specs.values()}))
    intro = (
        "Labels that models contradict, most suspicious first. Judged are val and sets that were "
        "treated as unlabelled, by models that are not known to have learned their labels. The "
        f"labelled sets ({learned}) are not judged: models repeat the labels that they learned."
    )
    if run.drawn:
        intro += " These labels are drawn, not a person's: what is listed are errors of the models."
    return Section("labels", "Labels to look at", intro, groups)


def _of_val(run: FinishedRun) -> Group:
    rows = [row for row in run.specs if run.files.detections(row).is_file()]
    models = ([d for d in run.detections(row) if d["score"] >= COUNTED] for row in rows)
    listed = suspects(run.val, [*models], run.metadata)
    text = f"val: {len(run.val.images):,} images, by {_several(rows, 'model')}"
    return Group(text, [*_suspects(run, "val", run.val, listed)])


def _of_unlabelled(run: FinishedRun, name: str) -> Group | None:
    """Return the suspects of an unlabelled set whose labels are known, by its teachers' views."""
    sample, total = run.sample(name)
    if not sample.annotations:
        return None
    ids = {image["id"] for image in sample.images}
    names = {image["file_name"] for image in sample.images}
    by_teacher = {
        spec["teacher"]: row
        for row, spec in run.specs.items()
        if spec.get("unlabelled") == name and not spec.get("ablation")
    }
    rows = [row for teacher, row in by_teacher.items() if not run.learned(teacher) & names]
    paths = [path for row in rows if (path := run.files.evidence(row)).is_file()]
    models = [[as_result(c) for c in read_candidates(path, ids)] for path in paths]
    listed = suspects(sample, models, run.metadata) if models else []
    title = (
        f"{name}: {len(ids):,} of {total:,} images, by all views of {_several(models, 'teacher')}"
    )
    return Group(title, [*_suspects(run, name, sample, listed)], open=False)


def _several(things: Sequence[Any], name: str) -> str:
    return f"{len(things)} {name}{'s' if len(things) != 1 else ''}"


def _suspects(
    run: FinishedRun, name: str, labels: Coco, listed: Sequence[Suspect]
) -> Iterator[Any]:
    judged = sum(each.label is not None for each in listed)
    doubtful = [each for each in listed if each.suspicion >= _DOUBTFUL]
    yield Text(
        f"{judged:,} labels judged; {len(doubtful):,} suspects of a suspicion of {_DOUBTFUL} or "
        "more, on a scale from 0 to 1."
    )
    entries, names = [], {c["id"]: c["name"] for c in labels.categories}
    on_image = labels.by_image()
    for each in listed[: max(_FEW, min(_SHOWN, len(doubtful)))]:
        focus = [record for record in (each.label, each.prediction) if record]
        part = window(each.image, focus, run.metadata)
        prediction = [each.prediction] if each.prediction else []
        panels = [
            Picture(thumbnail(run.files.images, each.image, shown, run.metadata, part), title)
            for title, shown in (("labels", on_image[each.image["id"]]), ("models", prediction))
        ]
        text = f"{each.suspicion:.2f}, {each.kind}{_named(each, names)}"
        entries.append(Entry(panels, text, each.image["file_name"]))
    yield Gallery("Most suspicious", "", entries)
    rows = [
        [each.kind, f"{each.suspicion:.2f}", each.image["file_name"], _number(each.label)]
        for each in doubtful[:_LISTED]
    ]
    grid = Table(["suspected", "suspicion", "image", "annotation id"], rows, "", numbers=4)
    yield Group(f"The first {len(rows)} as a list", [grid], open=False)
    if doubtful:
        yield _export(labels, doubtful, f"suspected-labels-{name}.json")


def _named(suspect: Suspect, names: dict[int, str]) -> str:
    if suspect.kind == CLASS and suspect.label and suspect.prediction:
        ends = (names.get(each["category_id"]) for each in (suspect.label, suspect.prediction))
        return ": {} or {}".format(*ends)
    return ""


def _number(label: Record | None) -> str:
    return str(label["id"]) if label else "none"


def _export(labels: Coco, doubtful: Sequence[Suspect], file_name: str) -> Download:
    """Return the human labels of the first images to download, the suspects marked."""
    marks = {each.label["id"]: each for each in doubtful if each.label}
    images = {each.image["id"]: each.image for each in doubtful}
    on_image, annotations, size = labels.by_image(), list[Record](), 0
    chosen: list[Record] = []
    for number, image in images.items():
        marked = [_marked(annotation, marks) for annotation in on_image[number]]
        size += len(json.dumps(marked))
        if chosen and size > _BYTES:
            break
        chosen.append(image)
        annotations += marked
    content = {"images": chosen, "annotations": annotations, "categories": labels.categories}
    number = f"the first {len(chosen):,} images"
    text = f"{number} with their labels as COCO, to correct in a labelling tool"
    return coco_download(file_name, text, content)


def _marked(annotation: Record, marks: Mapping[int, Suspect]) -> Record:
    mark = marks.get(annotation["id"])
    facts = {"suspected": mark.kind, "suspicion": round(mark.suspicion, 3)} if mark else {}
    return annotation | facts
