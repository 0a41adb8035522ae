"""Stage `data`: one COCO JSON for every image set of the profile, and a manifest of all images."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from datastill.coco.format import Coco
from datastill.coco.image_header import DEFAULT_LIMIT, PixelLimit
from datastill.coco.subsets import subset, trainable, union
from datastill.errors import DataError
from datastill.images.contact_sheet import write_contact_sheet
from datastill.images.families import mark_families
from datastill.images.leaks import Leak, find_leaks
from datastill.images.load import Refusal
from datastill.images.manifest import examine, write_sets
from datastill.images.splits import Span
from datastill.io import write_text
from datastill.progress import Steps
from datastill.project import data_schema as schema
from datastill.project.image_sets import VAL
from datastill.project.profile import Profile
from datastill.sources.files import AnnotatedFiles, FileSet, FileSets, FolderFiles, VideoFiles
from datastill.sources.synthetic_sets import DrawnSet, RenderSettings, draw_set

_log = logging.getLogger(__name__)
_SHOWN = 5  # displayed lines of a long list


def run(profile: Profile) -> None:
    """Draw or load all sets, examine every image and write the sets of the readable ones."""
    data = profile.params.data
    sets = {drawn.name: draw(profile, drawn) for drawn in drawn_sets(profile)}
    loaded = _load(profile) if isinstance(data, schema.FileData) else {}
    sets |= {name: coco for name, (coco, _) in loaded.items()}
    refused = [(name, refusal) for name, (_, lost) in loaded.items() for refusal in lost]
    images = {image["file_name"]: image for coco in sets.values() for image in coco.images}
    with Steps("examining images", len(images)) as steps:
        manifest, unreadable = examine(
            profile.images, list(images.values()), steps.advance, pixel_limit(data)
        )
    refused += _leave_out(sets, unreadable)
    leaks, allowed = find_all_leaks(data, sets, manifest)
    refused += _leave_out_leaks(sets, leaks)
    if not trainable(sets[VAL], profile.params.task).images:
        raise DataError(f"{VAL}: none of {len(sets[VAL].images):,} images has an object to find")
    sets[VAL] = mark_families(sets[VAL], manifest)
    if isinstance(data, schema.FileData):
        _add_digests(sets, manifest)
    for name, spec in data.sets.items():
        if isinstance(spec, schema.Union):
            sets[name] = union([sets[part] for part in spec.union])
    for name, coco in sets.items():
        write_contact_sheet(profile.sheet(name), profile.images, coco, profile.params.task)
    write_sets(profile.work / "data", sets, manifest, refused)
    _report_allowed(profile, allowed)
    _warn(profile, refused)
    _warn_of_families(sets[VAL])


def _load(profile: Profile) -> dict[str, tuple[Coco, list[Refusal]]]:
    """Return the sets from files, by name; what was parsed for them is not kept."""
    files = file_sets(profile)
    return {file_set.name: files.load(file_set) for file_set in files.sets}


def _add_digests(sets: dict[str, Coco], manifest: pd.DataFrame) -> None:
    """Add each image's digest to its record: sets differ if pictures with the same names do."""
    digests = dict(zip(manifest["file_name"], manifest["digest"], strict=True))
    for coco in sets.values():
        for image in coco.images:
            image["sha256"] = digests[image["file_name"]]


def _leave_out_leaks(sets: dict[str, Coco], leaks: list[Leak]) -> list[tuple[str, Refusal]]:
    """Remove the `leaks` from all `sets` but val; return (name of the set, refusal) of each."""
    others = {name: coco for name, coco in sets.items() if name != VAL}
    lost = [*_leave_out(others, [Refusal(leak.file_name, leak.reason) for leak in leaks])]
    sets |= others
    return lost


def _leave_out(sets: dict[str, Coco], refusals: list[Refusal]) -> Iterator[tuple[str, Refusal]]:
    """Remove the refused images from all `sets`; yield (name of the set, refusal) of each."""
    by_name = {refusal.file_name: refusal for refusal in refusals}
    for name, coco in sets.items():
        kept = [image for image in coco.images if image["file_name"] not in by_name]
        lost = [by_name[i["file_name"]] for i in coco.images if i["file_name"] in by_name]
        if lost and not kept:
            first = f"{lost[0].file_name}: {lost[0].reason}"
            raise DataError(f"{name}: none of {len(lost)} images is left, such as {first}")
        sets[name] = subset(coco, kept)
        yield from ((name, refusal) for refusal in lost)


def find_all_leaks(
    data: schema.Data, sets: Mapping[str, Coco], manifest: pd.DataFrame | None
) -> tuple[list[Leak], list[Leak]]:
    """Return the images of other sets to leave out, and those allowed although they look like val.

    Raises DataError if `data` refuses leaks, or allows similar images and finds the same ones.
    """
    others = {name: coco for name, coco in sets.items() if name != VAL}
    policy = data.leaks if isinstance(data, schema.FileData) else "refuse"
    leaks = find_leaks(sets[VAL], others, manifest)
    allowed = [leak for leak in leaks if leak.similar] if policy == "allow" else []
    faults = [leak for leak in leaks if not leak.similar] if policy == "allow" else leaks
    if faults and policy != "drop":
        raise DataError(_leak_text(faults, policy))
    return faults, allowed


def _leak_text(leaks: list[Leak], policy: str) -> str:
    title = f"{len(leaks)} images of other sets are also in val; an AP on them would mean nothing"
    lines = [f"{leak.set}: {leak.file_name} {leak.reason}" for leak in leaks]
    advice = "remove them, or write `data.leaks: drop` to leave them out"
    if policy == "allow":
        advice = "remove them: `data.leaks: allow` holds for images that only look alike"
    return f"{excerpt(title, lines)}\n  {advice}"


def excerpt(title: str, lines: Sequence[str]) -> str:
    """Return `title`, below it the first few `lines`, and the number of the others."""
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n  ".join([title, *lines[:_SHOWN], *more])


def _warn(profile: Profile, refused: list[tuple[str, Refusal]]) -> None:
    for name, count in pd.Series([name for name, _ in refused]).value_counts().items():
        first = next(refusal for set_name, refusal in refused if set_name == name)
        _log.warning(
            "%s: continues without %d images, such as %s: %s; all are in %s",
            name, count, first.file_name, first.reason, profile.work / "data" / "refused.csv",
        )  # fmt: skip


def _report_allowed(profile: Profile, allowed: list[Leak]) -> None:
    """Log the number of images that look like val's and stay, and list them in allowed.csv."""
    data = profile.params.data
    if not (allowed and isinstance(data, schema.FileData)):
        return
    path = profile.allowed
    rows = [(leak.set, leak.file_name, leak.reason, data.leaks_reason) for leak in allowed]
    table = pd.DataFrame(rows, columns=["set", "file_name", "reason", "allowed_because"])
    write_text(path, table.to_csv(index=False))
    _log.warning(
        "keeps %d images of other sets that look like val's (%s); all are in %s",
        len(allowed), data.leaks_reason, path,
    )  # fmt: skip


def _warn_of_families(val: Coco) -> None:
    families = {image.get("family", image["id"]) for image in val.images}
    if len(families) < len(val.images):
        _log.warning(
            "val: %d images in %d families of frames or near-duplicates; intervals draw families",
            len(val.images), len(families),
        )  # fmt: skip


def drawn_sets(profile: Profile) -> list[DrawnSet]:
    """Return the sets that are drawn, if any; all but `val` are scaled down."""
    data, scaled = profile.params.data, profile.params.scaled_images
    if not isinstance(data, schema.DrawnData):
        return []
    drawn: list[DrawnSet] = []
    for name, spec in data.sets.items():
        scenes, seed = name, data.seed
        if isinstance(spec, schema.Redrawn):
            scenes, seed, spec = spec.redraws, spec.seed, data.sets[spec.redraws]
        if isinstance(spec, schema.DrawnImages):
            images = scaled(spec.images)
            drawn.append(DrawnSet(len(drawn) + 1, name, images, spec.style, scenes, seed))
    val = data.val
    return [*drawn, DrawnSet(len(drawn) + 1, VAL, val.images, val.style, VAL, data.seed)]


def draw(profile: Profile, drawn: DrawnSet) -> Coco:
    """Draw one of `drawn_sets`."""
    data = profile.params.data
    assert isinstance(data, schema.DrawnData)
    settings = RenderSettings(profile.images, (data.width, data.height))
    with Steps(f"drawing {drawn.name}", drawn.images) as steps:
        return draw_set(drawn, settings, steps.advance)


def _drawn_again(data: schema.FileData, spec: schema.FileSet) -> schema.FileSet:
    """Return the set that `spec` redraws with its seed, or `spec` itself."""
    if not isinstance(spec, schema.Redrawn):
        return spec
    original = data.sets[spec.redraws]
    if isinstance(original, schema.PartOfImages):
        part = original.part.model_copy(update={"seed": spec.seed})
        return original.model_copy(update={"part": part})
    return original.model_copy(update={"seed": spec.seed})


def file_sets(profile: Profile) -> FileSets:
    """Return the sets of a profile whose data are files, except unions."""
    data = profile.params.data
    assert isinstance(data, schema.FileData)
    specs = {VAL: data.val, **{name: _drawn_again(data, spec) for name, spec in data.sets.items()}}
    annotated: dict[str, AnnotatedFiles] = {}
    for name, spec in specs.items():
        if isinstance(spec, schema.AnnotatedImages):
            part = Span(**spec.part.model_dump()) if isinstance(spec, schema.PartOfImages) else None
            annotated[name] = AnnotatedFiles(name, **spec.model_dump(exclude={"part"}), part=part)
    sets: list[FileSet] = []
    for name, spec in specs.items():
        if isinstance(spec, schema.AnnotatedImages):
            sets.append(annotated[name])
        elif isinstance(spec, schema.ImageFolder):
            labelled = [annotated[other] for other in spec.without]
            sets.append(FolderFiles(name, spec.folder, labelled, spec.count))
        elif isinstance(spec, schema.Videos):
            sets.append(VideoFiles(name, **spec.model_dump()))
    root = Path(data.root).expanduser()
    task, margin = profile.params.task, data.keypoint_margin
    return FileSets(root, profile.images, task, annotated[VAL], sets, margin, pixel_limit(data))


def pixel_limit(data: schema.Data) -> PixelLimit:
    """Return the limit on the pixels of an image that the section `data` sets."""
    if isinstance(data, schema.FileData):
        return PixelLimit(data.max_megapixels, "data.max_megapixels")
    return DEFAULT_LIMIT
