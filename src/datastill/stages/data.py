"""Stage `data`: every image set of the profile as one COCO JSON, and a manifest of all images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from datastill.coco.format import Coco
from datastill.coco.subsets import subset, union
from datastill.errors import DataError
from datastill.images.contact_sheet import write_contact_sheet
from datastill.images.leaks import Leak, find_leaks
from datastill.images.load import Refusal
from datastill.images.manifest import examine, write_sets
from datastill.images.splits import Span
from datastill.progress import Steps
from datastill.project.data_schema import (
    AnnotatedImages,
    DrawnData,
    DrawnImages,
    FileData,
    ImageFolder,
    PartOfImages,
    Union,
    Videos,
)
from datastill.project.image_sets import VAL
from datastill.project.profile import Profile
from datastill.sources.files import AnnotatedFiles, FileSet, FileSets, FolderFiles, VideoFiles
from datastill.sources.synthetic_sets import DrawnSet, Studio, draw_set

_log = logging.getLogger(__name__)
_NAMED = 5  # of what is wrong in many places


def run(profile: Profile) -> None:
    """Draw or gather all sets, look at every image and write the sets of those that are whole."""
    data = profile.params.data
    sets = {drawn.name: draw(profile, drawn) for drawn in drawn_sets(profile)}
    refused: list[tuple[str, Refusal]] = []
    if isinstance(data, FileData):
        files = file_sets(profile)
        for file_set in files.sets:
            sets[file_set.name], refusals = files.load(file_set)
            refused += [(file_set.name, refusal) for refusal in refusals]
    manifest, broken = _examine(profile, sets)
    refused += _left_out(sets, broken)
    others = {name: coco for name, coco in sets.items() if name != VAL}
    refused += _left_out(others, _leaked(profile, sets[VAL], others, manifest))
    sets |= others
    if isinstance(data, FileData):
        _sealed(sets, manifest)
    for name, spec in data.sets.items():
        if isinstance(spec, Union):
            sets[name] = union([sets[part] for part in spec.union])
    for name, coco in sets.items():
        write_contact_sheet(profile.sheet(name), profile.images, coco, profile.params.task)
    write_sets(profile.work / "data", sets, manifest, refused)
    _report(profile, refused)


def _examine(profile: Profile, sets: dict[str, Coco]) -> tuple[pd.DataFrame, list[Refusal]]:
    images = [image for coco in sets.values() for image in coco.images]
    files = {image["file_name"]: image for image in images}
    with Steps("looking at every image", len(files)) as steps:
        return examine(profile.images, list(files.values()), steps.advance)


def _sealed(sets: dict[str, Coco], manifest: pd.DataFrame) -> None:
    """Put each image's digest into its record: other pictures of the same names are other sets."""
    digests = dict(zip(manifest["file_name"], manifest["digest"], strict=True))
    for coco in sets.values():
        for image in coco.images:
            image["sha256"] = digests[image["file_name"]]


def _left_out(sets: dict[str, Coco], refusals: list[Refusal]) -> list[tuple[str, Refusal]]:
    """Take the refused images out of all `sets`; return which set lost what."""
    reasons = {refusal.file_name: refusal for refusal in refusals}
    lost = []
    for name, coco in sets.items():
        whole = [image for image in coco.images if image["file_name"] not in reasons]
        mine = [reasons[i["file_name"]] for i in coco.images if i["file_name"] in reasons]
        if mine and not whole:
            first = f"{mine[0].file_name}: {mine[0].reason}"
            raise DataError(f"{name}: none of {len(mine)} images is left, such as {first}")
        sets[name] = subset(coco, whole)
        lost += [(name, refusal) for refusal in mine]
    return lost


def _leaked(
    profile: Profile, val: Coco, others: dict[str, Coco], manifest: pd.DataFrame
) -> list[Refusal]:
    """Return what of other sets is also in val, to be dropped; or refuse to go on."""
    leaks = find_leaks(val, others, manifest)
    data = profile.params.data
    if leaks and not (isinstance(data, FileData) and data.leaks == "drop"):
        raise DataError(leak_text(leaks))
    return [Refusal(leak.file_name, leak.reason) for leak in leaks]


def leak_text(leaks: list[Leak]) -> str:
    """Return what to say about images that must not be where they are."""
    what = f"{len(leaks)} images of other sets are also in val; an AP on them would mean nothing"
    advice = "\n  take them out, or write `data.leaks: drop` to have them left out"
    return many(what, [f"{leak.set}: {leak.file_name} {leak.reason}" for leak in leaks]) + advice


def many(what: str, places: Sequence[str]) -> str:
    """Return `what` and, below it, the first few of its `places` and how many more there are."""
    more = [f"and {len(places) - _NAMED} more"] if len(places) > _NAMED else []
    return "\n  ".join([what, *places[:_NAMED], *more])


def _report(profile: Profile, refused: list[tuple[str, Refusal]]) -> None:
    for name, count in pd.Series([name for name, _ in refused]).value_counts().items():
        first = next(refusal for of, refusal in refused if of == name)
        _log.warning(
            "%s: goes on without %d images, such as %s: %s; all are in %s",
            name, count, first.file_name, first.reason, profile.work / "data" / "refused.csv",
        )  # fmt: skip


def drawn_sets(profile: Profile) -> list[DrawnSet]:
    """Return what is to be drawn, if anything; `val` alone is not scaled down."""
    data, scaled = profile.params.data, profile.params.scaled
    if not isinstance(data, DrawnData):
        return []
    specs = [
        (name, scaled(spec.images), spec.style)
        for name, spec in data.sets.items()
        if isinstance(spec, DrawnImages)
    ]
    specs.append((VAL, data.val.images, data.val.style))
    return [DrawnSet(number, *spec) for number, spec in enumerate(specs, start=1)]


def draw(profile: Profile, drawn: DrawnSet) -> Coco:
    """Draw one set of a profile that draws its own."""
    data = profile.params.data
    assert isinstance(data, DrawnData)
    studio = Studio(profile.images, (data.width, data.height), data.seed)
    with Steps(f"drawing {drawn.name}", drawn.images) as steps:
        return draw_set(drawn, studio, steps.advance)


def file_sets(profile: Profile) -> FileSets:
    """Return the sets, but for unions, of a profile whose data are files."""
    data = profile.params.data
    assert isinstance(data, FileData)
    specs = {VAL: data.val, **data.sets}
    annotated = {
        name: _annotated(name, spec)
        for name, spec in specs.items()
        if isinstance(spec, AnnotatedImages)
    }
    sets: list[FileSet] = []
    for name, spec in specs.items():
        if isinstance(spec, AnnotatedImages):
            sets.append(annotated[name])
        elif isinstance(spec, ImageFolder):
            labelled = [annotated[other] for other in spec.without]
            sets.append(FolderFiles(name, spec.folder, labelled, spec.count))
        elif isinstance(spec, Videos):
            sets.append(VideoFiles(name, **spec.model_dump()))
    root = Path(data.root).expanduser()
    return FileSets(root, profile.images, profile.params.task, annotated[VAL], sets)


def _annotated(name: str, spec: AnnotatedImages) -> AnnotatedFiles:
    fields = spec.model_dump()
    if isinstance(spec, PartOfImages):
        fields["part"] = Span(**fields["part"])
    return AnnotatedFiles(name, **fields)
