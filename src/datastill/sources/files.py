"""The image sets of a profile whose data are files: COCO's own, folders of images, videos."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from datastill.coco.format import Coco, Record
from datastill.coco.normalize import box_categories, keypoint_category, read_published, tidy
from datastill.coco.subsets import Folder, folder_images, located, without
from datastill.errors import DataError, ParamsError
from datastill.images.load import Refusal, read_image
from datastill.images.manifest import examine
from datastill.images.perceptual_hash import likeness, repeats
from datastill.images.splits import Span, part
from datastill.progress import Steps
from datastill.project import (
    AnnotatedImages,
    FileData,
    ImageFolder,
    PartOfImages,
    Union,
    Videos,
)
from datastill.project.profile import Profile
from datastill.sources.video_frames import extract_frames
from datastill.sources.videos import find_videos

_SAME_FRAME = 8  # bits: thins a static clip, keeps what moves
_log = logging.getLogger(__name__)

Refused = list[tuple[str, Refusal]]


def all_sets(profile: Profile) -> tuple[dict[str, Coco], Refused]:
    """Return val and all sets but unions, image files linked below `place.images`, and what is
    nowhere or cannot be read.

    Raises DataError where a set has another number of images than its `count`.
    """
    data = _files(profile)
    sets: dict[str, Coco] = {}
    refused: Refused = []
    for name, spec in {"val": data.val, **data.sets}.items():
        if not isinstance(spec, Union):
            sets[name], lost = one_set(profile, name)
            refused += [(name, refusal) for refusal in lost]
    return sets, refused


def one_set(profile: Profile, name: str) -> tuple[Coco, list[Refusal]]:
    """Return one set that is no union, and what of it is nowhere or cannot be read.

    Raises DataError where nothing of it can be read.
    """
    spec = _spec(profile, name)
    if isinstance(spec, AnnotatedImages):
        return in_folders(profile, name, members(profile, name))
    images, refused = _unlabelled(profile, name, spec)
    if not images:
        first = f", {refused[0].file_name}: {refused[0].reason}" if refused else ""
        raise DataError(f"{_key(name)}: expected images, found none{first}")
    return Coco(images, [], val_categories(profile)), refused


def in_folders(profile: Profile, name: str, listed: Coco) -> tuple[Coco, list[Refusal]]:
    """Return the members of an annotated set as they lie in its folders, and what is nowhere."""
    spec = _spec(profile, name)
    folders = [_linked(profile, folder) for folder in _sources(spec)]
    try:
        there, refused = located(listed, folders)
    except DataError as error:
        raise DataError(f"{_key(name)}: {error}") from None
    return (_part(profile, name, spec, there) if isinstance(spec, PartOfImages) else there), refused


def _part(profile: Profile, name: str, spec: PartOfImages, whole: Coco) -> Coco:
    seen = _seen(profile.images.absolute(), tuple(_Look(**image) for image in whole.images))
    mine = part(whole, Span(**spec.part.model_dump()), seen)
    if not mine.images:
        raise DataError(
            f"{_key(name)}.part: expected images, found none: of {len(whole.images):,} images it "
            f"skips {spec.part.skip:,}"
        )
    return mine


class _Look(NamedTuple):
    id: int
    file_name: str
    width: int
    height: int


@cache
def _seen(root: Path, images: tuple[_Look, ...]) -> pd.DataFrame:
    """Return what `images` show, looked at once for all parts of them."""
    with Steps("looking for images that show the same", len(images)) as steps:
        return examine(root, [image._asdict() for image in images], steps.advance)[0]


def _unlabelled(
    profile: Profile, name: str, spec: ImageFolder | Videos
) -> tuple[list[Record], list[Refusal]]:
    if isinstance(spec, Videos):
        count_videos(profile, name, spec)
        return _frames(profile, name, spec)
    images, refused = folder_images(_linked(profile, spec.folder))
    labelled = _files_of(profile, spec.without)
    images = [
        i for i in images if os.path.realpath(profile.images / i["file_name"]) not in labelled
    ]
    _check_count(name, spec.count, len(images) + len(refused), f"{spec.folder} holds as many")
    return images, refused


def _files_of(profile: Profile, names: Sequence[str]) -> set[str]:
    """Return where the images really lie that the annotations of these sets list."""
    files = set()
    for name in names:
        folders = [_linked(profile, folder) for folder in _sources(_spec(profile, name))]
        there, _ = located(members(profile, name), folders)
        files |= {os.path.realpath(profile.images / image["file_name"]) for image in there.images}
    return files


def count_videos(profile: Profile, name: str, spec: Videos) -> int:
    """Return how many videos a set takes frames of; raises DataError where that is not `count`."""
    _, videos = find_videos(_below(profile, spec.videos))
    _check_count(name, spec.count, len(videos), f"{spec.videos} has as many videos")
    return len(videos)


def _spec(profile: Profile, name: str) -> AnnotatedImages | ImageFolder | Videos:
    data = _files(profile)
    spec = data.val if name == "val" else data.sets[name]
    if isinstance(spec, Union):
        raise ParamsError(f"data.sets.{name} is a union, made of other sets")
    return spec


def val_categories(profile: Profile) -> list[Record]:
    """Return what val's annotations define for all sets: all categories that have a box or, of a
    task of keypoints, the one that has them.
    """
    path = _below(profile, _files(profile).val.annotations)
    try:
        coco = read_published(path)
        boxes = profile.params.task == "boxes"
        return box_categories(coco) if boxes else [keypoint_category(coco)]
    except DataError as error:
        raise DataError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from None


def members(profile: Profile, name: str) -> Coco:
    """Return the members of an annotated set and their annotations, from the files alone.

    Raises DataError where a file is malformed or the number of members is 0 or not the expected
    one.
    """
    spec, categories = _spec(profile, name), val_categories(profile)
    if not isinstance(spec, AnnotatedImages):
        raise ParamsError(f"data.sets.{name} has no annotations")
    path = _below(profile, spec.annotations)
    listed = read_published(path)
    try:
        tidied, flat = tidy(listed, *categories)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    if flat:
        _log.warning("%s: %d annotations have boxes without extent and are left out", path, flat)
    others = [read_published(_below(profile, other)) for other in spec.without]
    kept = without(tidied, [image["id"] for other in others for image in other.images])
    gone = len(tidied.images) - len(kept.images)
    story = f"{spec.annotations} lists {len(tidied.images):,}"
    if spec.without:
        story += f", {gone:,} of them are in {' or '.join(spec.without)}"
    _check_count(name, spec.count, len(kept.images), story)
    if not kept.images:
        raise DataError(f"{_key(name)}: expected images, found none: {story}")
    return kept


def _check_count(name: str, expected: int | None, found: int, story: str) -> None:
    if expected is not None and found != expected:
        raise DataError(
            f"{_key(name)}: expected {expected:,} images, found {found:,}: {story}. Another or a "
            f"partial file? If it is as you want it, write `count: {found}`"
        )


def _key(name: str) -> str:
    """Return where in params.yaml a set stands."""
    return "data.val" if name == "val" else f"data.sets.{name}"


def _frames(profile: Profile, name: str, spec: Videos) -> tuple[list[Record], list[Refusal]]:
    source = _below(profile, spec.videos)
    with Steps(f"frames of {name}", spec.per_video * len(find_videos(source)[1])) as steps:
        images, refused = extract_frames(
            source, profile.images / name, spec.seed, steps.advance, spec.per_video
        )
    if spec.repeats == "drop":
        hashes = [likeness(_pixels(profile, image)) for image in images]
        first = repeats(hashes, _SAME_FRAME)
        refused += [
            Refusal(image["file_name"], f"shows the same as {images[earlier]['file_name']}")
            for image, earlier in zip(images, first, strict=True)
            if earlier >= 0
        ]
        images = [image for image, earlier in zip(images, first, strict=True) if earlier < 0]
    kept = ("id", "file_name", "width", "height", "video", "frame")
    return [{key: image[key] for key in kept} for image in images], refused


def _pixels(profile: Profile, image: Record):  # type: ignore[no-untyped-def]
    return read_image(profile.images / image["file_name"]).permute(1, 2, 0).numpy()


def restore(profile: Profile, folders: Collection[str]) -> None:
    """Make the links and frames again that sets with files in these `folders` need."""
    data = _files(profile)
    for name, spec in {"val": data.val, **data.sets}.items():
        for folder in _sources(spec):
            if _link_name(folder) in folders:
                _linked(profile, folder)
        if isinstance(spec, Videos) and name in folders:
            _frames(profile, name, spec)


def _sources(spec: AnnotatedImages | ImageFolder | Videos | Union) -> Sequence[str]:
    if isinstance(spec, AnnotatedImages):
        return spec.images
    return [spec.folder] if isinstance(spec, ImageFolder) else []


def _linked(profile: Profile, folder: str) -> Folder:
    """Return a folder of images, linked below `place.images` if it is there."""
    check_links(_files(profile))
    path, link = _below(profile, folder), profile.images / _link_name(folder)
    target = path.resolve()
    if path.is_dir() and not (link.is_symlink() and link.resolve() == target):
        if link.is_dir() and not link.is_symlink():
            raise DataError(f"{link}: expected a link to {path}, found a folder; move it away")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target, target_is_directory=True)
    return Folder(path, link.name)


def check_links(data: FileData) -> None:
    """Raise DataError where one name below `place.images` would mean two folders."""
    videos = [name for name, spec in data.sets.items() if isinstance(spec, Videos)]
    taken = {name: f"the frames of {name}" for name in videos}
    for spec in (data.val, *data.sets.values()):
        for folder in map(str, map(Path, _sources(spec))):
            name = _link_name(folder)
            if (other := taken.setdefault(name, folder)) != folder:
                raise DataError(
                    f"data.sets: {other} and the images of {folder} would both be found as "
                    f"{name!r}; rename one of them"
                )


def _link_name(folder: str) -> str:
    parts = [part for part in Path(folder).parts if part not in ("/", ".", "..")]
    return "-".join(parts) or "root"


def _below(profile: Profile, name: str) -> Path:
    return Path(_files(profile).root).expanduser() / name


def _files(profile: Profile) -> FileData:
    data = profile.params.data
    if not isinstance(data, FileData):
        raise DataError(f"profile {profile.params.profile} has no files to gather its sets from")
    return data
