"""Video frames: uniformly random ones of every video; one each, as in s1m-180 (section 5.1)."""

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

from datastill.coco.format import Record, image_id
from datastill.errors import DataError
from datastill.images.load import Refusal, printable
from datastill.images.pools import Processes
from datastill.io import atomic

VIDEO_KINDS = (
    ".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm",
    ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv",
)  # fmt: skip  # suffixes of videos in a folder, in any case
_OPTIONS = {
    # FFmpeg also opens still images and playlists, which would lead to files outside the root.
    "format_whitelist": "mov,avi,matroska,mpeg,mpegts,mpegvideo,asf,flv,ogg",
    "protocol_whitelist": "file",
}


def find_videos(source: Path) -> tuple[Path, list[str]]:
    """Return the root folder and its videos: posix names relative to the root, sorted, each once.

    `source` is a folder, searched with all folders in it that are not links, one video, or a text
    file with one path per line, relative to its folder; blank lines and # comments are ignored.
    Raises DataError if it is none of these, names no video, or a path leaves the folder.
    """
    if source.is_dir():
        paths = (path for path in source.rglob("*") if path.suffix.lower() in VIDEO_KINDS)
        root, names = source, {p.relative_to(source).as_posix() for p in paths if not p.is_dir()}
    elif source.is_file():
        root, is_video = source.parent, source.suffix.lower() in VIDEO_KINDS
        names = {source.name} if is_video else _listed(source)
    else:
        raise DataError(f"{source}: expected a folder or a list of videos, found nothing there")
    if not names:
        raise DataError(f"{source}: expected videos ({' '.join(VIDEO_KINDS)}), found none")
    return root, sorted(names)


def _listed(source: Path) -> set[str]:
    try:
        lines = [line.strip() for line in source.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise DataError(
            f"{source}: expected a folder or a text file with one path per line, found no text"
        ) from None
    paths = [PurePosixPath(line) for line in lines if line and not line.startswith("#")]
    for path in paths:
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{source}: {str(path)!r} leaves its folder; list paths below that")
    return {path.as_posix() for path in paths}


@dataclass(frozen=True)
class Frame:
    """A frame of a video: `index` of `count` in the order of presentation."""

    image: NDArray[np.uint8]  # (h, w, 3) RGB, upright
    index: int
    count: int


@dataclass(frozen=True)
class Choice:
    """A uniformly random frame of the video `name`, from part `part` of `parts` equal ones."""

    name: str
    seed: int
    part: int = 0
    parts: int = 1

    def index(self, count: int) -> int:
        """Return its index among `count` frames; raises DataError if the part has none."""
        first, end = (count * edge // self.parts for edge in (self.part, self.part + 1))
        if first == end:
            raise DataError(f"has {count} frames, fewer than the {self.parts} requested")
        number = int.from_bytes(self._digest(self.seed, self.name))
        return first + number % (end - first)  # uniform, as `number` is one of 2 ** 256

    def key(self, video: Path) -> str:
        """Return the name the frame is stored under; other videos of that name get other names."""
        size = video.stat().st_size if video.is_file() else 0
        return self._digest(self.name, size, self.seed).hex()[:16]

    def _digest(self, *fields: object) -> bytes:
        part = [f"{self.part}/{self.parts}"] if self.parts > 1 else []
        text = "\0".join(map(str, [*fields, *part]))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def extract_frames(
    source: Path, folder: Path, seed: int, advance: Callable[[int], None], per_video: int = 1
) -> tuple[list[Record], list[Refusal]]:
    """Store random frames of every video of `source` as JPEGs in `folder`, unless they exist.

    Returns in the order of `find_videos` the COCO images, whose `file_name` starts with the name of
    `folder` and which also have `video` and `frame` (its index), and the videos with fewer frames
    than requested. The number of workers, processes that import the calling script again, changes
    nothing. `advance` is called with 1 for every requested frame.
    """
    root, names = find_videos(source)
    folder.mkdir(parents=True, exist_ok=True)
    choices = [Choice(name, seed, part, per_video) for name in names for part in range(per_video)]
    paths = {choice: folder / f"{choice.key(root / choice.name)}.jpg" for choice in choices}
    images = {choice: image for choice, path in paths.items() if (image := _stored(path))}
    for _ in images:
        advance(1)
    missing = {choice: path for choice, path in paths.items() if choice not in images}
    refusals: dict[str, Refusal] = {}
    # A fork of this process may inherit a codec without its threads and hang on freeing it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with Processes(os.cpu_count(), context) as pool:
        results = pool.map(partial(_extract, root), missing, missing.values(), chunksize=4)
        for choice, result in zip(missing, results, strict=True):
            if isinstance(result, Refusal):
                refusals[choice.name] = result
            else:
                images[choice] = result
            advance(1)
    return [images[choice] for choice in choices if choice in images], [*refusals.values()]


def _extract(root: Path, choice: Choice, path: Path) -> Record | Refusal:
    """Write a frame and its origin as one file, so that the next run opens no video."""
    video = root / choice.name
    try:
        frame = random_frame(video, choice)
    except DataError as error:
        return Refusal(printable(choice.name), str(error).removeprefix(f"{video}: "))
    origin = {"video": choice.name, "frame": frame.index, "frames": frame.count}
    image, comment = Image.fromarray(frame.image), json.dumps(origin).encode()
    with atomic(path) as unfinished:
        image.save(unfinished, "JPEG", quality=95, comment=comment)
    return _stored(path)


def _stored(path: Path) -> Record:
    """Return the COCO image of a stored frame, {} if there is none."""
    try:
        with Image.open(path) as image:
            origin = json.loads(image.info["comment"])
            width, height = image.size
    except (OSError, KeyError, ValueError):
        return {}
    file_name = f"{path.parent.name}/{path.name}"
    record = {"id": image_id(file_name), "file_name": file_name, "width": width, "height": height}
    return record | {key: origin[key] for key in ("video", "frame")}


def random_frame(path: Path, choice: Choice) -> Frame:
    """Return a frame of the video `path`, uniform over its frames, decided only by `choice`.

    The packets list the frames; those from the last keyframe to the chosen one are decoded. If the
    packets are unreliable or the decoded frames differ from the list, the choice is among all that
    decode undamaged. Raises DataError if the file is absent, empty, not a video or too short.
    """
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
    """Choose among the frames that the packets list; None if they are unreliable."""
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
    """A packet's header; the packet contents of a long video would fill the memory."""

    pts: int | None
    dts: int | None
    is_keyframe: bool
    is_hidden: bool  # by an edit list: not shown, but possibly the keyframe of a shown frame
    is_damaged: bool


def _announced(
    container: InputContainer, stream: VideoStream
) -> tuple[list[int], list[tuple[int, int]]]:
    """Return when the frames are shown, sorted, and when every keyframe is shown and decoded.

    Both are empty if the packets are unreliable: unordered in AVI, partly hidden in VP8.
    """
    demuxed = (p for p in container.demux(stream) if p.size)
    packets = [_Packet(p.pts, p.dts, p.is_keyframe, p.is_discard, p.is_corrupt) for p in demuxed]
    timed = [(p.pts, p) for p in packets if p.pts is not None]
    times = [pts for pts, _ in timed]
    shown = sorted(pts for pts, p in timed if not p.is_hidden)
    keyframes = [(pts, pts if p.dts is None else p.dts) for pts, p in timed if p.is_keyframe]
    is_avi = container.format.name == "avi"
    reliable = (
        stream.codec.name != "vp8" and not (is_avi and stream.codec.reorder)
        and len(set(times)) == len(packets) and not any(p.is_damaged for p in packets)
        and bool(keyframes and shown) and keyframes[0][0] == times[0] <= shown[0]
    )  # fmt: skip
    return (shown, keyframes) if reliable else ([], [])


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield the frames that decode undamaged from the container's position on."""
    with suppress(av.FFmpegError):  # the file may end early
        for packet in (packet for packet in container.demux(stream) if not packet.is_corrupt):
            with suppress(av.FFmpegError):
                yield from (frame for frame in packet.decode() if not frame.is_corrupt)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the first video stream, except cover art; raises DataError if there is none."""
    name, cover = f"file:{path}", Disposition.attached_pic
    with av.open(name, container_options=_OPTIONS, metadata_errors="replace") as container:
        streams = [s for s in container.streams.video if not s.disposition & cover]
        if not streams:
            raise DataError(f"{path}: expected a video stream, found none; take it off the list")
        if not streams[0].codec_context:
            raise DataError(f"{path}: FFmpeg has no decoder for its video stream; convert it")
        streams[0].codec_context.thread_count = 1  # videos are decoded in parallel already
        yield container, streams[0]


def _upright(frame: VideoFrame) -> NDArray[np.uint8]:
    """Return (h, w, 3) RGB, turned and mirrored as the display matrix says, by right angles."""
    image = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    side_data: Any = frame.side_data  # PyAV's types have only one of its keys
    if (matrix := side_data.get("DISPLAYMATRIX")) is None:
        return image
    # ISO 14496-12: x' = a x + c y, y' = b x + d y
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5]
    if abs(a) < abs(b):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
