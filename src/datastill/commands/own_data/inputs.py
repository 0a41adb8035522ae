"""What does somebody bring? Labels, folders of images and videos, all opened once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from datastill.coco.format import Coco, Record
from datastill.coco.normalize import learned_categories, normalize
from datastill.coco.subsets import subset
from datastill.errors import DataError, ParamsError
from datastill.images.folders import Folder, folder_images, locate
from datastill.images.load import Refusal
from datastill.images.manifest import COLUMNS, examine
from datastill.progress import Steps
from datastill.sources.video_frames import VIDEO_KINDS, find_videos

DEFAULT_FRACTION = 0.1


@dataclass(frozen=True)
class Division:
    """How the one file with labels is divided, in an order by chance that `seed` makes.

    val_fraction, val_count  of its images are val, where val has no file of its own; one or none
    label_only               as many stay labelled, the others are taken as unlabelled; None: all
    """

    val_fraction: float | None
    val_count: int | None
    label_only: int | None
    seed: int

    def held_out(self, count: int) -> int:
        """Return how many of `count` images are val; raises DataError where that leaves nothing."""
        share = DEFAULT_FRACTION if self.val_fraction is None else self.val_fraction
        held = round(share * count) if self.val_count is None else self.val_count
        if 0 < held < count:
            return held
        asked = f"{share:g} of {count:,}" if self.val_count is None else f"{held:,} of {count:,}"
        rest = "val" if held <= 0 else "training"
        raise DataError(
            f"val: {asked} labelled images leaves none for {rest}; choose another --val-fraction "
            "or --val-count"
        )


@dataclass(frozen=True)
class Inputs:
    """What somebody brings: labels with the folder of their images, and what else there is."""

    labelled: Path
    images: Path
    unlabelled: Path | None
    val: Path | None
    val_images: Path | None
    division: Division
    task: str | None

    def check(self) -> None:
        """Raise ParamsError where what is asked for contradicts itself."""
        how = self.division
        shares = how.val_fraction is not None or how.val_count is not None
        asked = {
            "--task: expected keypoints or boxes": self.task not in {None, "keypoints", "boxes"},
            "--val has labels of its own: leave --val-fraction and --val-count away": (
                self.val is not None and shares
            ),
            "expected --val-fraction or --val-count, found both": (
                how.val_fraction is not None and how.val_count is not None
            ),
            "--val-images: expected --val too, the labels of these images": (
                self.val is None and self.val_images is not None
            ),
            "expected --unlabelled, or --label-only N, which takes the other labelled images as "
            "unlabelled; found neither": self.unlabelled is None and how.label_only is None,
            "expected --unlabelled or --label-only, found both": (
                self.unlabelled is not None and how.label_only is not None
            ),
        }
        if wrong := [text for text, is_so in asked.items() if is_so]:
            raise ParamsError("\n  ".join(wrong))


@dataclass(frozen=True)
class InspectedSet:
    """A set whose files were opened; their names start with the set's.

    videos  how many there are, where the images are to be frames of them
    """

    coco: Coco
    manifest: pd.DataFrame
    refused: list[Refusal]
    videos: int = 0


def learnable(path: Path, coco: Coco, task: str) -> Coco:
    """Return what `task` learns from; raises DataError, naming the file, where that is nothing."""
    try:
        return normalize(coco, *learned_categories(coco, task))[0]
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def annotated(name: str, labels: Path, coco: Coco, folder: Path) -> InspectedSet:
    """Open the images that `labels` lists; raises DataError where some are not in `folder`."""
    place = folder.resolve()
    if not place.is_dir():
        raise DataError(f"{folder}: expected a folder of images, found none")
    try:
        there, missing = locate(coco, [Folder(place, place.name)])
    except DataError as error:
        raise DataError(f"{labels}: {error}") from None
    if missing:
        raise DataError(
            f"{labels}: {len(missing):,} of {len(coco.images):,} images are not in {folder}, such "
            f"as {missing[0].file_name}; bring them, or take them out of the labels"
        )
    return _opened(name, there, place)


def _opened(name: str, coco: Coco, folder: Path) -> InspectedSet:
    with Steps(f"looking at {name}", len(coco.images)) as steps:
        manifest, refused = examine(folder.parent, coco.images, steps.advance)
    if coco.images and len(refused) == len(coco.images):
        first = f"{refused[0].file_name}: {refused[0].reason}"
        raise DataError(f"{folder}: none of {len(refused):,} images can be used, such as {first}")
    lost = {refusal.file_name for refusal in refused}
    whole = subset(coco, [image for image in coco.images if image["file_name"] not in lost])
    images = [{**i, "file_name": _renamed(name, i["file_name"])} for i in whole.images]
    names = [_renamed(name, file_name) for file_name in manifest["file_name"]]
    return InspectedSet(replace(whole, images=images), manifest.assign(file_name=names), refused)


def _renamed(name: str, file_name: str) -> str:
    return f"{name}/{file_name.partition('/')[2]}"


def unlabelled(source: Path, labelled: InspectedSet) -> InspectedSet:
    """Open the images, or count the videos, of a folder, or take a video or a list of them.

    Raises DataError where it has neither, or both.
    """
    if not source.exists():
        raise DataError(f"{source}: expected a folder of images or videos, found nothing there")
    place, categories = source.resolve(), labelled.coco.categories
    if source.is_file():
        return _to_come(categories, len(find_videos(source)[1]))
    records, refused = folder_images(Folder(place, place.name))
    videos = sum(path.suffix.lower() in VIDEO_KINDS for path in place.rglob("*"))
    if not records and not videos:
        first = f"; {refused[0].file_name}: {refused[0].reason}" if refused else ""
        raise DataError(f"{source}: expected images or videos, found none{first}")
    if records and videos:
        raise DataError(
            f"{source}: expected images or videos, found {len(records):,} images and {videos:,} "
            "videos; move the one or the other to a folder of their own"
        )
    if videos:
        return _to_come(categories, len(find_videos(source)[1]))
    seen = _opened("unlabelled", Coco(records, [], categories), place)
    return replace(seen, refused=refused + seen.refused)


def _to_come(categories: list[Record], videos: int) -> InspectedSet:
    return InspectedSet(Coco([], [], categories), pd.DataFrame(columns=list(COLUMNS)), [], videos)
