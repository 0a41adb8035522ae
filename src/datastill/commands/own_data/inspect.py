"""Inspection of all inputs: the sets of the future profile, and their faults."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from datastill.coco.format import Coco, Task
from datastill.coco.lint import lint
from datastill.coco.normalize import read_labels
from datastill.coco.subsets import subset
from datastill.commands.own_data.inputs import (
    Inputs,
    InspectedSet,
    open_labelled,
    open_unlabelled,
    usable_labels,
)
from datastill.commands.set_checks import lacking
from datastill.errors import DataError
from datastill.images.folders import Folder, other_files
from datastill.images.leaks import Leak, find_leaks
from datastill.images.recordings import alike, recorded_groups
from datastill.images.splits import Span, take_span


@dataclass
class Inspection:
    """The sets of the future profile.

    spans         the parts of the labels' file, for the sets that are such parts
    notes         remarks on what is left out or unusual
    leaks_reason  why images that look like val's are allowed, if they are
    """

    task: Task
    sets: dict[str, InspectedSet]
    spans: Mapping[str, Span]
    notes: list[str]
    leaks_reason: str | None


def inspect(inputs: Inputs) -> Inspection:
    """Open all inputs; raises DataError for the first fault that rules out a profile."""
    inputs.check()
    labels = read_labels(inputs.labelled)
    task: Task = inputs.task or ("keypoints" if labels.keypoint_names() else "boxes")
    usable = usable_labels(inputs.labelled, labels, task, inputs.images)
    whole = open_labelled("labelled", inputs.labelled, usable, inputs.images, inputs.limit)
    sets, notes = {"labelled": whole}, [*_left_out(labels, usable)]
    if inputs.val:
        sets["val"] = _open_val(inputs, inputs.val, labels, task)
        notes += _resembling(sets)
    labelled = [*sets.values()]
    frames = _count_frames(whole)
    spans = inputs.division.spans(len(whole.coco.images), inputs.val is not None, frames > 0)
    for name, span in spans.items():
        part = take_span(whole.coco, span, whole.manifest)
        sets[name] = replace(whole, coco=part, refused=whole.refused if name == "labelled" else [])
    if inputs.unlabelled:
        everything = open_unlabelled(inputs.unlabelled, whole, inputs.limit)
        sets["unlabelled"] = _without(inputs.unlabelled, everything, labelled)
        if left_out := len(everything.coco.images) - len(sets["unlabelled"].coco.images):
            notes.append(f"{left_out:,} images in {inputs.unlabelled} are labelled ones")
        folder = Folder(everything.folder, everything.folder.name)
        if not everything.videos and (note := other_files(folder)):
            notes.append(f"{inputs.unlabelled}: {note}")
    reason = None
    if frames and not inputs.val:
        reason = f"{frames:,} of {len(whole.coco.images):,} labelled images show one recording"
        notes += [_describe_blocks(reason, spans), *_resembling_in_recording(sets)]
    for name in ("labelled", "val"):
        _check_trainable(name, sets[name].coco, task)
    notes += [f"{name}: {note}" for name, each in sets.items() for note in _unusual(each.coco)]
    return Inspection(task, sets, spans, notes, reason)


def _count_frames(whole: InspectedSet) -> int:
    """Return how many images show one recording, or 0 if most do not."""
    groups = alike(whole.coco, whole.manifest)
    recorded = recorded_groups(whole.coco, groups)
    return sum(group in recorded for group in groups)


def _describe_blocks(reason: str, spans: Mapping[str, Span]) -> str:
    (_, rest), (start, end) = spans["labelled"].block or (0, 0), spans["val"].block or (0, 0)
    return (
        f"{reason}: val is the last {end - start:,} in the order of their names, the "
        f"{start - rest:,} before it are left out, so that none is next to a training image"
    )


def _resembling_in_recording(sets: Mapping[str, InspectedSet]) -> Iterator[str]:
    """Note images that look like val's and stay; raises DataError if an image is in both."""
    leaks = _similar_to_val(sets, "in val and in another set")
    if counts := Counter(leak.set for leak in leaks):
        shown = " and ".join(f"{count:,} {name}" for name, count in counts.items())
        yield f"{shown} images look like val's, as frames of one recording do: leaks: allow"


def _unusual(coco: Coco) -> Iterator[str]:
    if crowds := sum(a["iscrowd"] for a in coco.annotations):
        yield f"{crowds:,} annotations are crowds, regions to ignore"
    yield from lint(coco)


def _left_out(labels: Coco, usable: Coco) -> Iterator[str]:
    kept = {category["id"] for category in usable.categories}
    if others := [c["name"] for c in labels.categories if c["id"] not in kept]:
        yield f"categories without keypoints are left out: {', '.join(others)}"
    known = [a for a in labels.annotations if a["category_id"] in kept]
    if flat := len(known) - len(usable.annotations):
        yield f"{flat:,} annotations have boxes without area and are left out"


def _open_val(inputs: Inputs, path: Path, labels: Coco, task: Task) -> InspectedSet:
    """Open val's own labels; raises DataError if its category ids mean something else."""
    val_labels = read_labels(path)
    ours, vals = (_categories(coco, task) for coco in (labels, val_labels))
    if ours != vals:
        only_ours, only_vals = (
            ", ".join(f"{number} {name}" for number, (name, _) in sorted(differing)[:5]) or "none"
            for differing in (ours.items() - vals.items(), vals.items() - ours.items())
        )
        raise DataError(
            f"{inputs.labelled} and {path}: expected the same categories in both, found "
            f"{only_ours} only in the first and {only_vals} only in the second; use the same id, "
            "name and keypoints for the same category"
        )
    folder = inputs.val_images or inputs.images
    usable = usable_labels(path, val_labels, task, folder)
    return open_labelled("val", path, usable, folder, inputs.limit)


def _categories(coco: Coco, task: Task) -> dict[int, tuple[str, tuple[str, ...]]]:
    if task == "boxes":
        return {c["id"]: (c["name"], ()) for c in coco.categories}
    return {c["id"]: (c["name"], (*c["keypoints"],)) for c in coco.categories if c.get("keypoints")}


def _resembling(sets: Mapping[str, InspectedSet]) -> Iterator[str]:
    """Note labelled images that resemble val; raises DataError if an image is in both."""
    advice = ", or omit --val to split the labels"
    if leaks := _similar_to_val(sets, "both labelled and in val", advice):
        first = f"{leaks[0].file_name} {leaks[0].reason}"
        yield f"{len(leaks):,} labelled images resemble val and will be left out, such as {first}"
        if len(leaks) > len(sets["labelled"].coco.images) / 2:
            yield "if val and labelled are of one recording, write leaks: allow and a leaks_reason"


def _similar_to_val(sets: Mapping[str, InspectedSet], where: str, advice: str = "") -> list[Leak]:
    """Return the images that look like val's; raises DataError if an image is in both."""
    manifest = pd.concat([each.manifest for each in sets.values()]).drop_duplicates("file_name")
    others = {name: each.coco for name, each in sets.items() if name != "val"}
    leaks = find_leaks(sets["val"].coco, others, manifest)
    if same := [leak for leak in leaks if not leak.similar]:
        first = f"{same[0].file_name} {same[0].reason}"
        raise DataError(
            f"{len(same):,} images are {where}, such as {first}; the AP on training images means "
            f"nothing: remove them from one{advice}"
        )
    return leaks


def _without(
    source: Path, unlabelled: InspectedSet, labelled: Sequence[InspectedSet]
) -> InspectedSet:
    """Return `unlabelled` minus the files of `labelled`; raises DataError if only copies remain."""
    files = {file for each in labelled for file in each.files()}
    pairs = zip(unlabelled.coco.images, unlabelled.files(), strict=True)
    images = [image for image, file in pairs if file not in files]
    digests = {digest for each in labelled for digest in each.manifest["digest"]}
    copied = unlabelled.manifest.set_index("file_name")["digest"].isin(digests)
    if not unlabelled.videos and all(copied[image["file_name"]] for image in images):
        raise DataError(
            f"{source}: all {len(unlabelled.coco.images):,} unlabelled images are labelled ones or "
            "copies of them; name a folder with other images, or use --label-only N to treat "
            "labelled images as unlabelled"
        )
    return replace(unlabelled, coco=subset(unlabelled.coco, images))


def _check_trainable(name: str, coco: Coco, task: Task) -> None:
    """Raise DataError if a labelled set has nothing to learn from; crowds do not count."""
    if fault := lacking(coco, task):
        advice = "choose another --seed or a larger fraction, or label more"
        raise DataError(f"{name}: {fault}; {advice}")
