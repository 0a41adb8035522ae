"""What will a profile of somebody's own data be made of, and what is wrong with the data?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from datastill.coco.format import Coco
from datastill.coco.formats import read_labels
from datastill.coco.lint import lint
from datastill.coco.subsets import subset, trainable
from datastill.commands.own_data.inputs import (
    Inputs,
    InspectedSet,
    annotated,
    learnable,
    unlabelled,
)
from datastill.errors import DataError
from datastill.images.leaks import find_leaks
from datastill.images.load import Refusal
from datastill.images.splits import Span, take_span


@dataclass
class Survey:
    """What was found: every set as it will be, and what it goes on without.

    spans    of the sets that are parts of the one file with labels: which
    videos   how many there are, where the unlabelled images are to be frames
    """

    task: str
    sets: dict[str, Coco] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    refused: dict[str, list[Refusal]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    videos: int = 0


def survey(inputs: Inputs) -> Survey:
    """Open all that is brought; raises DataError for the first thing that makes no profile."""
    inputs.check()
    labels = read_labels(inputs.labelled)
    task = inputs.task or ("keypoints" if labels.keypoint_names() else "boxes")
    learnt = learnable(inputs.labelled, labels, task)
    whole = annotated("labelled", inputs.labelled, learnt, inputs.images)
    found = Survey(task, {"labelled": whole.coco}, refused={"labelled": whole.refused})
    found.notes += _left_out(labels, learnt)
    labelled = [(inputs.images, whole)]
    if inputs.val:
        val = _val(inputs, inputs.val, labels, task)
        found.sets["val"], found.refused["val"] = val.coco, val.refused
        found.notes += _shared(whole, val)
        labelled.append((inputs.val_images or inputs.images, val))
    _divide(inputs, whole, found)
    if inputs.unlabelled:
        everything = unlabelled(inputs.unlabelled, whole)
        others = _others(inputs.unlabelled, labelled, everything)
        found.sets["unlabelled"], found.refused["unlabelled"] = others.coco, others.refused
        found.videos = others.videos
        if left_out := len(everything.coco.images) - len(others.coco.images):
            found.notes.append(f"{left_out:,} images in {inputs.unlabelled} are labelled ones")
    _check_enough(found)
    for name, coco in found.sets.items():
        found.notes += [f"{name}: {peculiar}" for peculiar in _peculiarities(coco)]
    return found


def _peculiarities(coco: Coco) -> Iterator[str]:
    """Yield what is odd about a set that can be learned from all the same."""
    if crowds := sum(a["iscrowd"] for a in coco.annotations):
        yield f"{crowds:,} annotations are crowds, regions to ignore"
    yield from lint(coco)


def _left_out(labels: Coco, learnt: Coco) -> Iterator[str]:
    kept = {category["id"] for category in learnt.categories}
    if others := [c["name"] for c in labels.categories if c["id"] not in kept]:
        yield f"categories without keypoints are left out: {', '.join(others)}"
    known = [a for a in labels.annotations if a["category_id"] in kept]
    if flat := len(known) - len(learnt.annotations):
        yield f"{flat:,} annotations have boxes without extent and are left out"


def _val(inputs: Inputs, path: Path, labels: Coco, task: str) -> InspectedSet:
    theirs = read_labels(path)
    _same_categories(inputs, labels, theirs, task)
    learnt = learnable(path, theirs, task)
    return annotated("val", path, learnt, inputs.val_images or inputs.images)


def _same_categories(inputs: Inputs, ours: Coco, theirs: Coco, task: str) -> None:
    """Raise DataError where the two files mean different things by their category ids."""
    one, other = (_meaning(coco, task) for coco in (ours, theirs))
    if one != other:
        differing = sorted(one.items() - other.items()), sorted(other.items() - one.items())
        found, wanted = (
            ", ".join(f"{i} {name}" for i, (name, _) in each[:5]) for each in differing
        )
        raise DataError(
            f"{inputs.labelled} and {inputs.val}: expected the same categories in both, found "
            f"{found or 'none'} only in the first and {wanted or 'none'} only in the second; give "
            "the same ids, names and keypoints to what is the same"
        )


def _meaning(coco: Coco, task: str) -> Mapping[int, tuple[str, tuple[str, ...]]]:
    points = task == "keypoints"
    return {
        c["id"]: (c["name"], tuple(c.get("keypoints", ())) if points else ())
        for c in coco.categories
        if c.get("keypoints") or not points
    }


def _shared(whole: InspectedSet, val: InspectedSet) -> Iterator[str]:
    """Yield what is alike in labels and val; raise DataError where an image is in both."""
    manifest = pd.concat([whole.manifest, val.manifest])
    leaks = find_leaks(val.coco, {"labelled": whole.coco}, manifest)
    same = [leak for leak in leaks if not leak.reason.startswith("shows")]
    if same:
        first = f"{same[0].file_name} {same[0].reason}"
        raise DataError(
            f"{len(same):,} images are both labelled and in val, such as {first}; an AP on what "
            "was learnt means nothing: take them out of one, or leave --val away to have it split"
        )
    if leaks:
        first = f"{leaks[0].file_name} {leaks[0].reason}"
        yield f"{len(leaks):,} labelled images resemble val and will be left out, such as {first}"


def _divide(inputs: Inputs, whole: InspectedSet, found: Survey) -> None:
    """Make the sets that come of the one file with labels."""
    how, count = inputs.division, len(whole.coco.images)
    held = 0 if inputs.val else how.held_out(count)
    seed, only_some = how.seed, how.label_only
    if only_some is not None and not 0 < only_some < count - held:
        raise DataError(
            f"--label-only {only_some}: expected fewer than the {count - held:,} images there are "
            f"beside val, so that some are left to be unlabelled"
        )
    if held:
        found.spans["val"] = Span(seed, 0, held)
    if held or only_some:
        found.spans["labelled"] = Span(seed, held, only_some)
    if only_some:
        found.spans["unlabelled"] = Span(seed, held + only_some, None)
    found.sets["labelled"] = whole.coco
    for name, span in found.spans.items():
        found.sets[name] = take_span(whole.coco, span, whole.manifest)


def _others(
    source: Path, labelled: Sequence[tuple[Path, InspectedSet]], seen: InspectedSet
) -> InspectedSet:
    """Return the unlabelled images less the labelled files; raise DataError where none is left."""
    files = {os.path.realpath(at / _file(i)) for at, each in labelled for i in each.coco.images}
    here = source.resolve()
    images = [
        image for image in seen.coco.images if os.path.realpath(here / _file(image)) not in files
    ]
    digests = {digest for _, each in labelled for digest in each.manifest["digest"]}
    known = seen.manifest.set_index("file_name")["digest"].isin(digests)
    if not seen.videos and all(known[image["file_name"]] for image in images):
        raise DataError(
            f"{source}: all {len(seen.coco.images):,} unlabelled images are labelled ones or "
            "copies of them; give a folder with others, or --label-only N to leave labelled "
            "images unlabelled"
        )
    return replace(seen, coco=subset(seen.coco, images))


def _file(image: Mapping[str, str]) -> str:
    return image["file_name"].partition("/")[2]


def _check_enough(found: Survey) -> None:
    """Raise DataError where a set that needs labels has none after all; crowds are none."""
    for name in ("labelled", "val"):
        coco = found.sets[name]
        crowds = sum(a["iscrowd"] for a in coco.annotations)
        if not trainable(coco, found.task).images:
            raise DataError(
                f"{name}: expected {found.task} on its images, found none on {len(coco.images):,}"
                f"{f' but {crowds:,} crowds (iscrowd 1)' if crowds else ''}; choose another --seed "
                "or a larger share, or label more"
            )
