"""The inputs of a profile: labels, folders of images and videos, each file opened once."""

import math
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import pandas as pd

from datastill.coco.format import Coco, Task
from datastill.coco.image_header import DEFAULT_LIMIT, PixelLimit, option_limit
from datastill.coco.normalize import learned_categories, normalize
from datastill.coco.subsets import subset
from datastill.errors import DataError, ParamsError
from datastill.images.folders import (
    VIDEO_KINDS,
    Folder,
    absence,
    folder_images,
    locate,
    other_files,
    real_path,
)
from datastill.images.load import Refusal
from datastill.images.manifest import COLUMNS, examine
from datastill.images.sizes import complete_sizes
from datastill.images.splits import Span
from datastill.progress import Steps
from datastill.sources.video_frames import find_videos

GAP = 0.02  # of a recording's images, between val and the others
MIN_GAP = 2  # images


@dataclass(frozen=True)
class Division:
    """The division of the labelled images, in a random order made by `seed`.

    Of a recording, val are the last images in the order of their names, and a gap before them is
    left out: frames next to each other are almost the same.

    val_fraction, val_count  how many become val if it has no labels of its own; at most one
    label_only               how many keep their labels, the others being unlabelled; None: all
    """

    val_fraction: float | None
    val_count: int | None
    label_only: int | None
    seed: int

    def spans(self, count: int, has_val: bool, recording: bool) -> dict[str, Span]:
        """Return the part of `count` images that each set takes; none if nothing is divided.

        Raises DataError if a set would be empty.
        """
        gap = max(MIN_GAP, round(GAP * count)) if recording and not has_val else 0
        held, labelled = 0 if has_val else self._held_out(count, gap), self.label_only
        rest = count - held - gap
        if labelled is not None and not 0 < labelled < rest:
            most = f"the {rest:,} images that are not in val{' or the gap' if gap else ''}"
            few = f"expected fewer than {most}, so that some remain to be unlabelled"
            raise DataError(f"--label-only {labelled}: {few}")
        block, skip = ((0, rest), 0) if recording else (None, held)
        spans = {"val": Span(self.seed, 0, held)} if held else {}
        if held and recording:
            spans["val"] = Span(self.seed, 0, None, (count - held, count))
        if held or labelled:
            spans["labelled"] = Span(self.seed, skip, labelled, block)
        if labelled:
            spans["unlabelled"] = Span(self.seed, skip + labelled, None, block)
        return spans

    def _held_out(self, count: int, gap: int) -> int:
        fraction = 0.1 if self.val_fraction is None else self.val_fraction
        if not math.isfinite(fraction):
            raise ParamsError(
                f"--val-fraction: expected a number between 0 and 1, found {fraction}"
            )
        held = round(fraction * count) if self.val_count is None else self.val_count
        if not 0 < held < count - gap:
            asked = f"{fraction:g}" if self.val_count is None else f"{held:,}"
            lacking = f"none for {'val' if held <= 0 else 'training'}"
            lacking += f", with a gap of {gap} before val" if gap else ""
            advice = "change --val-fraction or --val-count"
            raise DataError(f"val: {asked} of {count:,} labelled images leaves {lacking}; {advice}")
        return held


@dataclass(frozen=True)
class Inputs:
    """The options of `datastill new` on where the data are and how to divide them."""

    labelled: Path
    images: Path
    unlabelled: Path | None
    val: Path | None
    val_images: Path | None
    division: Division
    task: Task | None
    max_megapixels: float | None = None

    @property
    def limit(self) -> PixelLimit:
        """The limit on the pixels of an image; raises ParamsError."""
        return option_limit(self.max_megapixels, "--max-megapixels")

    def check(self) -> None:
        """Raise ParamsError if options contradict each other or a limit is none."""
        _ = self.limit
        options = (self.val, self.val_images, self.unlabelled, *astuple(self.division)[:3])
        val, val_images, unlabelled, fraction, count, label_only = (
            option is not None for option in options
        )
        contradictions = {
            "--task: expected keypoints or boxes": self.task not in {None, "keypoints", "boxes"},
            "--val has its own labels: omit --val-fraction and --val-count": (
                val and (fraction or count)
            ),
            "expected --val-fraction or --val-count, found both": fraction and count,
            "--val-images: expected --val too, the labels of these images": val_images and not val,
            "expected --unlabelled, or --label-only N to use the other labelled images as "
            "unlabelled; found neither": not (unlabelled or label_only),
            "expected --unlabelled or --label-only, found both": unlabelled and label_only,
        }
        if wrong := [text for text, is_so in contradictions.items() if is_so]:
            raise ParamsError("\n  ".join(wrong))


@dataclass(frozen=True)
class InspectedSet:
    """A set whose files have been opened; its file names start with the name of the set.

    folder  that holds the images; refused  images that cannot be used
    videos  number of videos if the images will be frames, which `coco` does not have yet
    """

    folder: Path
    coco: Coco
    manifest: pd.DataFrame
    refused: list[Refusal]
    videos: int = 0

    def files(self) -> list[str]:
        """Return the real paths of its images."""
        names = (image["file_name"].partition("/")[2] for image in self.coco.images)
        return [real_path(self.folder / name) for name in names]


def usable_labels(path: Path, coco: Coco, task: Task, images: Path | None = None) -> Coco:
    """Return what `task` can learn from, with the sizes that only the files in `images` tell.

    Raises DataError, naming `path`, if nothing is left or it is malformed.
    """
    try:
        sized = complete_sizes(path, coco, [images]) if images else coco
        return normalize(sized, *learned_categories(coco, task), source=path)[0]
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def open_labelled(
    name: str, labels: Path, coco: Coco, folder: Path, limit: PixelLimit = DEFAULT_LIMIT
) -> InspectedSet:
    """Open the images listed in `labels`; raises DataError if some are not in `folder`.

    Links that lead out of it are refused, with their images, and images above the `limit`.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of images, found none")
    resolved = folder.resolve()
    try:
        located, missing = locate(coco, [opened := Folder(resolved, resolved.name)])
    except DataError as error:
        raise DataError(f"{labels}: {error}") from None
    contents = opened.contents()
    if lost := [each for each in missing if not contents.reason(each.file_name)]:
        absent = f"{len(lost):,} of {len(coco.images):,} images are not in {folder}"
        first = f"{lost[0].file_name}: {lost[0].reason}"
        raise DataError(
            f"{labels}: {absent}, such as {first}; add them, or remove them from the labels\n  "
            + absence(lost[0].file_name, opened)
        )
    inspected = _open_images(name, located, resolved, limit)
    return replace(inspected, refused=missing + inspected.refused)


def open_unlabelled(
    source: Path, labelled: InspectedSet, limit: PixelLimit = DEFAULT_LIMIT
) -> InspectedSet:
    """Open the images of a folder, or count the videos of a folder, a list or a single file.

    Raises DataError if `source` has neither images nor videos, or both.
    """
    if not source.exists():
        raise DataError(f"{source}: expected a folder of images or videos, found nothing there")
    folder, categories = source.resolve(), labelled.coco.categories
    records, refused = ([], []) if source.is_file() else folder_images(Folder(folder, folder.name))
    named = (path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_KINDS)
    videos = sum(path.is_file() for path in named)  # and not a folder of frames, named like one
    if records and videos:
        both = (
            f"{len(records):,} images and {videos:,} videos; move either to a folder of their own"
        )
        raise DataError(f"{source}: expected images or videos, found {both}")
    if videos or source.is_file():
        empty, manifest = Coco([], [], categories), pd.DataFrame(columns=list(COLUMNS))
        return InspectedSet(folder, empty, manifest, [], len(find_videos(source)[1]))
    if not records:
        first = f"; {refused[0].file_name}: {refused[0].reason}" if refused else ""
        others = f"; {note}" if (note := other_files(Folder(folder, folder.name))) else ""
        raise DataError(f"{source}: expected images or videos, found none{first}{others}")
    opened = _open_images("unlabelled", Coco(records, [], categories), folder, limit)
    return replace(opened, refused=refused + opened.refused)


def common_folder(folders: Sequence[Path]) -> str:
    """Return the absolute path of the lowest folder that holds all `folders`."""
    return os.path.commonpath([os.path.normpath(folder.absolute()) for folder in folders])


def _open_images(name: str, coco: Coco, folder: Path, limit: PixelLimit) -> InspectedSet:
    # Named below the root of the file system: links into DVC's cache leave the folder.
    above = f"{folder.parent.relative_to(folder.anchor).as_posix()}/".removeprefix("./")
    anchored = [{**image, "file_name": above + image["file_name"]} for image in coco.images]
    with Steps(f"opening {name}", len(anchored)) as steps:
        manifest, unusable = examine(Path(folder.anchor), anchored, steps.advance, limit)
    refused = [replace(each, file_name=each.file_name.removeprefix(above)) for each in unusable]
    if coco.images and len(refused) == len(coco.images):
        first = f"{refused[0].file_name}: {refused[0].reason}"
        raise DataError(f"{folder}: none of {len(refused):,} images can be used, such as {first}")

    def rename(file_name: str) -> str:
        return f"{name}/{file_name.removeprefix(above).partition('/')[2]}"

    lost = {refusal.file_name for refusal in refused}
    kept = subset(coco, [image for image in coco.images if image["file_name"] not in lost])
    images = [{**image, "file_name": rename(image["file_name"])} for image in kept.images]
    renamed = manifest.assign(file_name=manifest["file_name"].map(rename))
    return InspectedSet(folder, replace(kept, images=images), renamed, refused)
