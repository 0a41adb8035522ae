"""Frames of one video, decoded: random ones, or all."""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from datastill.coco.image_header import DEFAULT_LIMIT, PixelLimit
from datastill.errors import DataError
from datastill.sources.mp4_header import check_claim

_OPTIONS = {
    # FFmpeg also opens still images and playlists, which would lead to files outside the root.
    "format_whitelist": "mov,avi,matroska,mpeg,mpegts,mpegvideo,asf,flv,ogg",
    "protocol_whitelist": "file",
}
_END = 2**16  # bytes


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

    def key(self, content: str) -> str:
        """Return the name the frame is stored under, of a video whose `content` is identified."""
        return self._digest(self.name, content, self.seed).hex()[:16]

    def _digest(self, *fields: object) -> bytes:
        part = [f"{self.part}/{self.parts}"] if self.parts > 1 else []
        text = "\0".join(map(str, [*fields, *part]))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def identify(video: Path) -> str:
    """Return a digest of a video's size and both ends, "" if it cannot be read."""
    if not video.is_file():
        return ""
    try:
        with video.open("rb") as file:
            size, ends = video.stat().st_size, file.read(_END)
            file.seek(max(len(ends), size - _END))
            ends += file.read(_END)
    except OSError:
        return ""
    return hashlib.sha256(b"%d " % size + ends).hexdigest()


def random_frames(
    path: Path, choices: Sequence[Choice], limit: PixelLimit = DEFAULT_LIMIT
) -> Iterator[tuple[Choice, Frame | DataError]]:
    """Yield in any order frames of the video `path`, uniform over its frames, or why there is none.

    A frame is decided only by its choice. The packets list the frames; those from the last keyframe
    to the chosen one are decoded. If the packets are unreliable or the decoded frames differ from
    the list, the choice is among all that decode undamaged, counted once for all `choices`. The
    error is that the file is absent, empty, not a video or too short, or that its frames have more
    pixels than `limit`.
    """
    left = dict.fromkeys(choices)
    try:
        _check_present(path)
        for find in (_sought, _counted):
            for choice, frame in find(path, [*left], limit):
                del left[choice]
                yield choice, frame
    except av.FFmpegError as error:
        unreadable = _unreadable(path, error)
        yield from ((choice, unreadable) for choice in left)
    except DataError as error:
        yield from ((choice, error) for choice in left)


def all_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield every frame (h, w, 3) RGB of the video `path` that decodes undamaged, upright.

    Raises DataError as `random_frames` has it.
    """
    _check_present(path)
    try:
        with _opened(path) as (container, stream):
            yield from map(_upright, _decoded(container, stream))
    except av.FFmpegError as error:
        raise _unreadable(path, error) from None


def frame_rate(path: Path) -> tuple[Fraction, int]:
    """Return the frames per second, 25 if unknown, and how many frames `path` claims to have, or
    as many as fit its duration.

    Raises DataError as `all_frames` does.
    """
    _check_present(path)
    try:
        with _opened(path) as (container, stream):
            rate = stream.average_rate or Fraction(25)
            return rate, stream.frames or round(rate * (container.duration or 0) / av.time_base)
    except av.FFmpegError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: av.FFmpegError) -> DataError:
    return DataError(
        f"{path}: expected a video, found nothing that FFmpeg reads as one ({error.strerror}); "
        "convert it or download it again"
    )


def _check_present(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such video; correct its name or take it off the list")
    if not path.stat().st_size:
        raise DataError(f"{path}: the file is empty; copy or download it again")
    check_claim(path)


def _counted(
    path: Path, choices: Sequence[Choice], limit: PixelLimit
) -> Iterator[tuple[Choice, Frame | DataError]]:
    """Choose among all frames that decode."""
    if not choices:
        return
    with _opened(path, limit) as (container, stream):
        count = sum(1 for _ in _decoded(container, stream))
    if not count:
        raise DataError(f"{path}: the video has no frame that decodes; download it again")
    wanted: dict[int, list[Choice]] = {}
    for choice in choices:
        try:
            wanted.setdefault(choice.index(count), []).append(choice)
        except DataError as error:
            yield choice, error
    with _opened(path, limit) as (container, stream):
        for index, frame in enumerate(_decoded(container, stream)):
            if index in wanted:
                image = _upright(frame)
                yield from ((choice, Frame(image, index, count)) for choice in wanted[index])


def _sought(
    path: Path, choices: Sequence[Choice], limit: PixelLimit
) -> Iterator[tuple[Choice, Frame | DataError]]:
    """Choose among the frames that the packets list; yield nothing if they are unreliable."""
    with suppress(av.FFmpegError), _opened(path, limit) as (container, stream):
        times, keyframes = _announced(container, stream)
        for choice in choices if times else ():
            try:
                index = choice.index(len(times))
            except DataError as error:
                yield choice, error
                continue
            if image := _seek(container, stream, times[: index + 1], keyframes):
                yield choice, Frame(_upright(image), index, len(times))


def _seek(
    container: InputContainer,
    stream: VideoStream,
    times: Sequence[int],
    keyframes: Sequence[tuple[int, int]],
) -> VideoFrame | None:
    """Return the last of the frames shown at `times`; None if they do not decode as listed."""
    start, decoded_at = max(key for key in keyframes if key[0] <= times[-1])
    # Containers seek by either time; the earlier one never lands behind the keyframe.
    container.seek(min(start, decoded_at), stream=stream)
    due = times[bisect_left(times, start) :]
    shown = (f for f in _decoded(container, stream) if f.pts is None or f.pts >= start)
    for time, frame in zip(due, shown, strict=False):
        if frame.pts != time:
            return None
        if time == times[-1]:
            return frame
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
def _opened(
    path: Path, limit: PixelLimit = DEFAULT_LIMIT
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the first video stream, except cover art.

    Raises DataError if there is none or its frames have more pixels than `limit`.
    """
    name, cover = f"file:{path}", Disposition.attached_pic
    with av.open(name, container_options=_OPTIONS, metadata_errors="replace") as container:
        streams = [s for s in container.streams.video if not s.disposition & cover]
        if not streams:
            raise DataError(f"{path}: expected a video stream, found none; take it off the list")
        if not streams[0].codec_context:
            raise DataError(f"{path}: FFmpeg has no decoder for its video stream; convert it")
        size = streams[0].codec_context.width, streams[0].codec_context.height
        try:
            limit.check(size, "make its frames smaller")
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
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
