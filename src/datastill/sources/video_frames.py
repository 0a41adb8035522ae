"""Video frames: uniformly random ones of every video; one each, as in s1m-180 (section 5.1)."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from datastill.coco.format import Record
from datastill.errors import DataError
from datastill.images.load import Refusal, image_id, printable
from datastill.images.pools import Processes
from datastill.io import atomic

VIDEO_KINDS = (
    ".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm",
    ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv",
)  # fmt: skip  # the suffixes looked for in a folder, in any case
_READING = {
    # FFmpeg also opens still images and playlists, which would lead to files outside the root.
    "format_whitelist": "mov,avi,matroska,mpeg,mpegts,mpegvideo,asf,flv,ogg",
    "protocol_whitelist": "file",
}
_COVER = Disposition.attached_pic
_JPEG_QUALITY = 95


def find_videos(source: Path) -> tuple[Path, list[str]]:
    """Return the root folder and its videos: posix names relative to the root, sorted, each once.

    `source` is a folder, searched with all folders in it that are no links, one video, or a text
    file with one path per line, relative to the file's folder; blank lines and lines with a leading
    # say nothing. Raises DataError where it is absent or none of these, names no video, or a path
    leaves the folder.
    """
    if source.is_dir():
        root, names = source, _videos_below(source)
    elif source.is_file():
        one = source.suffix.lower() in VIDEO_KINDS
        root, names = source.parent, {source.name} if one else _listed(source)
    else:
        raise DataError(f"{source}: expected a folder or a list of videos, found nothing there")
    if not names:
        raise DataError(f"{source}: expected videos ({' '.join(VIDEO_KINDS)}), found none")
    return root, sorted(names)


def _videos_below(root: Path) -> set[str]:
    files = (path for path in root.rglob("*") if path.suffix.lower() in VIDEO_KINDS)
    return {path.relative_to(root).as_posix() for path in files if not path.is_dir()}


def _listed(source: Path) -> set[str]:
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(
            f"{source}: expected a folder or a text file with one path per line, found no text"
        ) from None
    stripped = (line.strip() for line in lines)
    paths = [PurePosixPath(line) for line in stripped if line and not line.startswith("#")]
    for path in paths:
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{source}: {str(path)!r} leaves its folder; list paths below that")
    return {path.as_posix() for path in paths}


@dataclass(frozen=True)
class Frame:
    """A frame of a video and where it lies: `index` of `count` in the order of presentation."""

    image: NDArray[np.uint8]  # (h, w, 3) RGB, upright
    index: int
    count: int


@dataclass(frozen=True)
class Choice:
    """A uniformly random frame of part `part` of the `parts` that a video falls into in time."""

    name: str
    seed: int
    part: int = 0
    parts: int = 1

    def index(self, count: int) -> int:
        """Return which of `count` frames it is; raises DataError where the part has none."""
        first, end = (count * edge // self.parts for edge in (self.part, self.part + 1))
        if first == end:
            raise DataError(f"has {count} frames, fewer than the {self.parts} asked for")
        # of 2 ** 256: any remainder is uniform
        return first + int.from_bytes(_digest(f"{self.seed}\0{self.name}{self._mark}")) % (
            end - first
        )

    def key(self, video: Path) -> str:
        """Return the name that the frame is kept under: another video of that name has another."""
        size = video.stat().st_size if video.is_file() else 0
        return _digest(f"{self.name}\0{size}\0{self.seed}{self._mark}").hex()[:16]

    @property
    def _mark(self) -> str:
        return f"\0{self.part}/{self.parts}" if self.parts > 1 else ""


def extract_frames(
    source: Path, folder: Path, seed: int, advance: Callable[[int], None], per_video: int = 1
) -> tuple[list[Record], list[Refusal]]:
    """Keep random frames of every video of `source` as JPEGs in `folder`, unless they are there.

    Returns in the order of `find_videos` the COCO images, whose `file_name` starts with the name of
    `folder` and which also have `video` and `frame` (its index), and the videos without a frame or
    with fewer than asked for. The result is independent of the workers, processes that import the
    calling script again, if it is one; `advance` hears of every frame that is asked for.
    """
    root, names = find_videos(source)
    folder.mkdir(parents=True, exist_ok=True)
    choices = [Choice(name, seed, part, per_video) for name in names for part in range(per_video)]
    paths = {choice: folder / f"{choice.key(root / choice.name)}.jpg" for choice in choices}
    images = {choice: image for choice, path in paths.items() if (image := _kept(path))}
    for _ in images:
        advance(1)
    missing = {choice: path for choice, path in paths.items() if choice not in images}
    refusals: dict[str, Refusal] = {}
    with _workers() as pool:
        job = pool.map(partial(_extract, root), missing, missing.values(), chunksize=4)
        for choice, found in zip(missing, job, strict=True):
            if isinstance(found, Refusal):
                refusals[choice.name] = found
            else:
                images[choice] = found
            advance(1)
    return [images[choice] for choice in choices if choice in images], [*refusals.values()]


def _workers() -> Processes:
    # A fork of this process may inherit a codec without its threads, and hangs when it frees it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return Processes(os.cpu_count(), context)


def _extract(root: Path, choice: Choice, path: Path) -> Record | Refusal:
    video = root / choice.name
    try:
        frame = _chosen(video, choice)
    except DataError as error:
        return Refusal(printable(choice.name), str(error).removeprefix(f"{video}: "))
    _keep(path, choice.name, frame)
    return _kept(path)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _keep(path: Path, name: str, frame: Frame) -> None:
    """Write image and origin as one file, whole or not at all: the next run asks no video."""
    origin = json.dumps({"video": name, "frame": frame.index, "frames": frame.count}).encode()
    with atomic(path) as partial:
        Image.fromarray(frame.image).save(partial, "JPEG", quality=_JPEG_QUALITY, comment=origin)


def _kept(path: Path) -> Record:
    """Return the COCO image of a frame kept before, {} where there is none."""
    try:
        with Image.open(path) as image:
            origin = json.loads(image.info["comment"])
            width, height = image.size
    except (OSError, KeyError, ValueError):
        return {}
    file_name = f"{path.parent.name}/{path.name}"
    return {
        "id": image_id(file_name),
        "file_name": file_name,
        "width": width,
        "height": height,
        **{key: origin[key] for key in ("video", "frame")},
    }


def random_frame(path: Path, name: str, seed: int) -> Frame:
    """Return a frame of the video `path`, uniform over its frames, decided by (name, seed) alone.

    The packets announce which frames there are; those from the last keyframe to the chosen one are
    decoded. Where packets do not tell, or other frames decode than they announce, the choice is
    among all frames that decode undamaged. Raises DataError where the file is absent, empty, no
    video or has no such frame.
    """
    return _chosen(path, Choice(name, seed))


def _chosen(path: Path, choice: Choice) -> Frame:
    if not path.is_file():
        raise DataError(f"{path}: no such video; correct its name or take it off the list")
    if not path.stat().st_size:
        raise DataError(f"{path}: the file is empty; copy or download it again")
    try:
        return _sought(path, choice) or _counted(path, choice)
    except av.FFmpegError as error:
        raise DataError(
            f"{path}: expected a video, found nothing that FFmpeg reads as one ({error.strerror}); "
            "convert it or download it again"
        ) from None


def _counted(path: Path, choice: Choice) -> Frame:
    """Choose among all frames that decode."""
    with _opened(path) as (container, stream):
        count = sum(1 for _ in _decoded(container, stream))
    if not count:
        raise DataError(f"{path}: the video has no frame that decodes; download it again")
    index = choice.index(count)
    with _opened(path) as (container, stream):
        frame = next(islice(_decoded(container, stream), index, None))
        return Frame(_upright(frame), index, count)


def _sought(path: Path, choice: Choice) -> Frame | None:
    """Choose among the frames that the packets announce, None where they cannot be relied upon."""
    with suppress(av.FFmpegError), _opened(path) as (container, stream):
        times, keyframes = _announced(container, stream)
        if not times:
            return None
        index = choice.index(len(times))
        start, decoded_at = max(key for key in keyframes if key[0] <= times[index])
        # Containers seek by either time; the earlier one never lands behind the keyframe.
        container.seek(min(start, decoded_at), stream=stream)
        due = times[bisect_left(times, start) : index + 1]
        shown = (f for f in _decoded(container, stream) if f.pts is None or f.pts >= start)
        for time, frame in zip(due, shown, strict=False):
            if frame.pts != time:
                return None
            if time == times[index]:
                return Frame(_upright(frame), index, len(times))
    return None


class _Packet(NamedTuple):
    """What a packet announces, without its content: that of a long video fills the memory."""

    pts: int | None
    dts: int | None
    is_keyframe: bool
    is_hidden: bool  # by an edit list: no frame to show, but perhaps the keyframe of one
    is_damaged: bool


def _announced(
    container: InputContainer, stream: VideoStream
) -> tuple[list[int], list[tuple[int, int]]]:
    """Return when the frames are shown, sorted, and when every keyframe is shown and decoded.

    Both are empty where the packets do not tell.
    """
    packets = [
        _Packet(p.pts, p.dts, p.is_keyframe, p.is_discard, p.is_corrupt)
        for p in container.demux(stream)
        if p.size
    ]
    times = [p.pts for p in packets if p.pts is not None]
    shown = sorted(p.pts for p in packets if p.pts is not None and not p.is_hidden)
    keyframes = [
        (p.pts, p.pts if p.dts is None else p.dts)
        for p in packets
        if p.pts is not None and p.is_keyframe
    ]
    told = len(set(times)) == len(packets) and not any(p.is_damaged for p in packets)
    whole = bool(keyframes and shown) and keyframes[0][0] == times[0] <= shown[0]
    return (shown, keyframes) if told and whole and not _misleading(container, stream) else ([], [])


def _misleading(container: InputContainer, stream: VideoStream) -> bool:
    """Say whether packets cannot tell the order, as in AVI, or hide frames among others, as VP8."""
    return stream.codec.name == "vp8" or (container.format.name == "avi" and stream.codec.reorder)


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield what decodes, from where the container stands on; pass over what is damaged."""
    with suppress(av.FFmpegError):  # the file may end early
        for packet in (packet for packet in container.demux(stream) if not packet.is_corrupt):
            with suppress(av.FFmpegError):
                yield from (frame for frame in packet.decode() if not frame.is_corrupt)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the first video stream that is no cover art; raises DataError where there is none."""
    with av.open(
        f"file:{path}", container_options=_READING, metadata_errors="replace"
    ) as container:
        streams = [s for s in container.streams.video if not s.disposition & _COVER]
        if not streams:
            raise DataError(f"{path}: expected a video stream, found none; take it off the list")
        if not streams[0].codec_context:
            raise DataError(f"{path}: FFmpeg has no decoder for its video stream; convert it")
        streams[0].codec_context.thread_count = 1  # videos are decoded in parallel already
        yield container, streams[0]


def _upright(frame: VideoFrame) -> NDArray[np.uint8]:
    """Return (h, w, 3) RGB, turned and mirrored as the display matrix says, by right angles."""
    image = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    side_data: Any = frame.side_data  # PyAV's types know one of its keys only
    if (matrix := side_data.get("DISPLAYMATRIX")) is None:
        return image
    # ISO 14496-12: x' = a x + c y, y' = b x + d y
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5]
    if abs(a) < abs(b):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
