"""Image sets from files: COCO's own, folders of images, videos."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import pandas as pd

from datastill.coco.format import Coco, Record, Task
from datastill.coco.image_header import DEFAULT_LIMIT, PixelLimit
from datastill.coco.normalize import learned_categories, normalize, read_published
from datastill.coco.subsets import subset
from datastill.errors import DataError
from datastill.images.folders import Folder, folder_images, locate, real_path
from datastill.images.load import Refusal, load_image
from datastill.images.manifest import examine
from datastill.images.perceptual_hash import perceptual_hash, repeats
from datastill.images.sizes import complete_sizes
from datastill.images.splits import Span, take_span
from datastill.progress import Steps
from datastill.sources.linked_folders import link_folder
from datastill.sources.video_frames import extract_frames, find_videos

_SAME_FRAME = 8  # bits: thins a static clip, keeps motion
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnnotatedFiles:
    """The images that `annotations` lists, except those that the files `without` list.

    images  folders of images, searched in their order
    count   the expected number of images before the part is taken; None if unknown
    part    the part of these images that forms the set; None takes all
    """

    name: str
    annotations: str
    without: Sequence[str]
    images: Sequence[str]
    count: int | None
    part: Span | None = None


@dataclass(frozen=True)
class FolderFiles:
    """All images of a folder, unlabelled, except those of the annotated sets `without`."""

    name: str
    folder: str
    without: Sequence[AnnotatedFiles]
    count: int | None


@dataclass(frozen=True)
class VideoFiles:
    """`per_video` random frames of each of `count` videos; `repeats` is "keep" or "drop"."""

    name: str
    videos: str
    per_video: int
    seed: int
    repeats: str
    count: int | None


FileSet = AnnotatedFiles | FolderFiles | VideoFiles


@dataclass(frozen=True)
class _Published:
    """Published labels, of which sets may be parts: the last file read, and the ids of all."""

    _last: dict[Path, Coco] = field(default_factory=dict)
    _ids: dict[Path, frozenset[int]] = field(default_factory=dict)

    def read(self, path: Path) -> Coco:
        if path not in self._last:
            self._last.clear()  # before the next one is in memory
            self._last[path] = content = read_published(path)
            self._ids[path] = frozenset(image["id"] for image in content.images)
        return self._last[path]

    def ids(self, path: Path) -> frozenset[int]:
        """Return the ids of the images of a file."""
        if path not in self._ids:
            self.read(path)
        return self._ids[path]


@dataclass(frozen=True)
class FileSets:
    """A profile's image sets from files, except unions.

    root    base folder of the paths in `sets`
    images  base folder of every `file_name`, with links to image folders, and video frames
    sets    val among them
    keypoint_margin  of boxes around the keypoints of annotations without a box (`keypoint_box`)
    limit   of the pixels of an image or a frame
    """

    root: Path
    images: Path
    task: Task
    val: AnnotatedFiles
    sets: Sequence[FileSet]
    keypoint_margin: float
    limit: PixelLimit = DEFAULT_LIMIT
    _published: _Published = field(default_factory=_Published)
    _images: dict[str, Sequence[Record]] = field(default_factory=dict)  # of the sets that were read

    @cached_property
    def categories(self) -> list[Record]:
        """The categories of all sets: those of val's annotations that `task` learns."""
        path = self.root / self.val.annotations
        try:
            return learned_categories(self._published.read(path), self.task)
        except DataError as error:
            message = str(error)
            raise DataError(message if str(path) in message else f"{path}: {message}") from None

    def load(self, spec: FileSet) -> tuple[Coco, list[Refusal]]:
        """Return a set, its files linked below `images`, and its absent or unreadable files.

        Raises DataError if none can be read or their number differs from `count`.
        """
        if isinstance(spec, AnnotatedFiles):
            return self.locate(spec, self.read(spec))
        if isinstance(spec, VideoFiles):
            self.count_videos(spec)
            images, refused = self._frames(spec)
        else:
            images, refused = self._folder_images(spec)
        if not images:
            first = f", {refused[0].file_name}: {refused[0].reason}" if refused else ""
            raise DataError(f"{_key(spec)}: expected images, found none{first}")
        return Coco(images, [], self.categories), refused

    def read(self, spec: AnnotatedFiles) -> Coco:
        """Return the content of the annotation files, whether or not the images exist.

        Raises DataError if a file is malformed, no image remains or their number is not `count`.
        """
        categories, path = self.categories, self.root / spec.annotations
        without = (self._published.ids(self.root / other) for other in spec.without)
        left_out = frozenset[int]().union(*without)
        published = self._published.read(path)
        try:
            sized = complete_sizes(path, published, [self.root / each for each in spec.images])
            listed, flat = normalize(
                sized, *categories, source=path, keypoint_margin=self.keypoint_margin
            )
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        if flat:
            text = "%s: %d annotations have boxes without extent and are left out"
            _log.warning(text, path, flat)
        kept = subset(listed, [image for image in listed.images if image["id"] not in left_out])
        reason = f"{spec.annotations} lists {len(listed.images):,}"
        if spec.without:
            excluded = len(listed.images) - len(kept.images)
            reason += f", {excluded:,} of them are in {' or '.join(spec.without)}"
        _check_count(spec, len(kept.images), reason)
        if not kept.images:
            raise DataError(f"{_key(spec)}: expected images, found none: {reason}")
        self._images[spec.name] = kept.images
        return kept

    def locate(self, spec: AnnotatedFiles, listed: Coco) -> tuple[Coco, list[Refusal]]:
        """Return the images of `listed` that `spec` takes, named below `images`; and the others."""
        folders = [self._link(folder) for folder in spec.images]
        try:
            present, refused = locate(listed, folders)
        except DataError as error:
            raise DataError(f"{_key(spec)}: {error}") from None
        if spec.part is None:
            return present, refused
        identities = tuple(tuple(image.items()) for image in present.images)
        manifest = _manifest(self.images.absolute(), identities, self.limit)
        try:
            taken = take_span(present, spec.part, manifest)
        except DataError as error:
            raise DataError(f"{_key(spec)}.part.{error}") from None
        if not taken.images:
            raise DataError(
                f"{_key(spec)}.part: expected images, found none: of {len(present.images):,} "
                f"images it skips {spec.part.skip:,}"
            )
        return taken, refused

    def count_videos(self, spec: VideoFiles) -> int:
        """Return the number of videos of a set; raises DataError if it differs from `count`."""
        _, videos = find_videos(self.root / spec.videos)
        _check_count(spec, len(videos), f"{spec.videos} has as many videos")
        return len(videos)

    def check_links(self) -> None:
        """Raise DataError if one name below `images` would refer to two folders."""
        videos = (spec for spec in self.sets if isinstance(spec, VideoFiles))
        taken = {spec.name: f"the frames of {spec.name}" for spec in videos}
        for folder in (str(Path(folder)) for spec in self.sets for folder in _folders(spec)):
            name = _link_name(folder)
            if (other := taken.setdefault(name, folder)) != folder:
                raise DataError(
                    f"data.sets: {other} and the images of {folder} would both be found as "
                    f"{name!r}; rename one of them"
                )

    def restore(self, names: Collection[str]) -> None:
        """Recreate the links and frames in the folders `names` below `images`."""
        for spec in self.sets:
            for folder in _folders(spec):
                if _link_name(folder) in names:
                    self._link(folder)
            if isinstance(spec, VideoFiles) and spec.name in names:
                self._frames(spec)

    def _folder_images(self, spec: FolderFiles) -> tuple[list[Record], list[Refusal]]:
        images, refused = folder_images(self._link(spec.folder))
        labelled = set()
        for other in spec.without:
            listed = Coco(self._images.get(other.name) or self.read(other).images, [], [])
            folders = [self._link(folder) for folder in other.images]
            labelled |= set(map(self._real_path, locate(listed, folders)[0].images))
        images = [image for image in images if self._real_path(image) not in labelled]
        _check_count(spec, len(images) + len(refused), f"{spec.folder} holds as many")
        return images, refused

    def _real_path(self, image: Record) -> str:
        name, _, file = image["file_name"].partition("/")
        folders = (folder for spec in self.sets for folder in _folders(spec))
        path = next(self.root / folder for folder in folders if _link_name(folder) == name)
        return real_path(path / file)

    def _frames(self, spec: VideoFiles) -> tuple[list[Record], list[Refusal]]:
        source, folder, per_video = self.root / spec.videos, self.images / spec.name, spec.per_video
        total = per_video * len(find_videos(source)[1])
        with Steps(f"frames of {spec.name}", total) as steps:
            images, refused = extract_frames(
                source, folder, spec.seed, steps.advance, per_video, self.limit
            )
        if spec.repeats == "drop":
            pixels = (load_image(self.images, image).permute(1, 2, 0) for image in images)
            hashes = [perceptual_hash(each.numpy()) for each in pixels]
            shown = list(zip(images, repeats(hashes, _SAME_FRAME), strict=True))
            pairs = ((image["file_name"], images[i]["file_name"]) for image, i in shown if i >= 0)
            refused += [Refusal(name, f"shows the same as {earlier}") for name, earlier in pairs]
            images = [image for image, earlier in shown if earlier < 0]
        return images, refused

    def _link(self, folder: str) -> Folder:
        """Return a folder of images, linked below `images` if it exists."""
        self.check_links()
        linked = Folder(self.root / folder, _link_name(folder))
        link_folder(linked, self.images)
        return linked


@cache
def _manifest(
    root: Path, images: tuple[tuple[tuple[str, object], ...], ...], limit: PixelLimit
) -> pd.DataFrame:
    """Return the manifest of `images`, computed once for all parts of them."""
    with Steps("searching for near-duplicates", len(images)) as steps:
        return examine(root, [dict(image) for image in images], steps.advance, limit)[0]


def _folders(spec: FileSet) -> Sequence[str]:
    if isinstance(spec, AnnotatedFiles):
        return spec.images
    return [spec.folder] if isinstance(spec, FolderFiles) else []


def _key(spec: FileSet) -> str:
    """Return the key of the set in params.yaml."""
    return "data.val" if spec.name == "val" else f"data.sets.{spec.name}"


def _check_count(spec: FileSet, count: int, reason: str) -> None:
    if spec.count is not None and count != spec.count:
        raise DataError(
            f"{_key(spec)}: expected {spec.count:,} images, found {count:,}: {reason}. Another or "
            f"a partial file? If it is as you want it, write `count: {count}`"
        )


def _link_name(folder: str) -> str:
    parts = [part for part in Path(folder).parts if part not in ("/", ".", "..")]
    return "-".join(parts) or "root"
