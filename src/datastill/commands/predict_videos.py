"""Command `predict` on videos: tables that pose tools read, and videos of the predictions."""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from datastill.coco.format import Record
from datastill.coco.metadata import Metadata
from datastill.commands.predictors import Predictor
from datastill.errors import DataError
from datastill.images.contact_sheet import draw_annotations
from datastill.io import atomic
from datastill.progress import Steps
from datastill.sources.video_decoding import all_frames, frame_rate

_BATCH = 8  # frames in memory
_BOX_COLUMNS = ("frame", "category", "x", "y", "width", "height", "score")

Image = NDArray[np.uint8]


def run(predictor: Predictor, videos: Mapping[str, Path], to: Path, draw: Path | None) -> str:
    """Write `to`/NAME.csv of every video by NAME, and `draw`/NAME.mp4 if there is such a folder.

    Keypoints become DeepLabCut's table, a row per frame: the frame's best object, nan without a
    visible one. Boxes become a row per visible box. Returns a line per video. Raises DataError for
    a video without frames; the tables before it stay.
    """
    lines = []
    for name, video in videos.items():
        table, drawn = to / f"{name}.csv", draw and draw / f"{name}.mp4"
        frames, seen = _write(predictor, video, table, drawn)
        lines.append(f"{table}: {frames} frames, {seen} with an object")
    return "\n".join(lines)


def _write(predictor: Predictor, video: Path, table: Path, drawn: Path | None) -> tuple[int, int]:
    """Write both files or neither; return the number of frames, and of those with an object."""
    metadata, frames, seen = predictor.model.metadata, 0, 0
    rate, announced = frame_rate(video)
    with ExitStack() as stack:
        file = stack.enter_context(stack.enter_context(atomic(table)).open("w", newline=""))
        writer = csv.writer(file)
        writer.writerows(_header(metadata))
        draw = stack.enter_context(_drawing(drawn, rate)) if drawn else None
        steps = stack.enter_context(Steps(f"predicting on {video.name}", announced))
        for image, objects in _predict(predictor, video):
            writer.writerows(_rows(metadata, frames, objects))
            if draw:
                draw(draw_annotations(image, objects, metadata))
            frames, seen = frames + 1, seen + bool(objects)
            steps.advance()
        if not frames:
            raise DataError(f"{video}: the video has no frame that decodes; download it again")
    return frames, seen


def _predict(predictor: Predictor, video: Path) -> Iterator[tuple[Image, list[Record]]]:
    """Yield every frame and its visible objects, best first."""
    frames = all_frames(video)
    while images := [*islice(frames, _BATCH)]:
        results = predictor.predict([torch.from_numpy(each).permute(2, 0, 1) for each in images])
        yield from zip(images, map(predictor.visible, results), strict=True)


def _header(metadata: Metadata) -> list[Sequence[str]]:
    if not (names := metadata.skeleton.names):
        return [_BOX_COLUMNS]
    return [
        ["scorer"] + ["datastill"] * 3 * len(names),
        ["bodyparts", *(name for name in names for _ in range(3))],
        ["coords"] + ["x", "y", "likelihood"] * len(names),
    ]


def _rows(metadata: Metadata, frame: int, objects: Sequence[Record]) -> list[list[Any]]:
    if keypoints := len(metadata.skeleton):
        return [[frame, *(objects[0]["keypoints"] if objects else [math.nan] * 3 * keypoints)]]
    names = {each["id"]: each["name"] for each in metadata.categories}
    return [[frame, names[o["category_id"]], *o["bbox"], o["score"]] for o in objects]


@contextmanager
def _drawing(path: Path, rate: Fraction) -> Iterator[Callable[[Image], None]]:
    """Yield a function that adds a frame to the mp4 at `path`, which appears once it is whole."""
    with atomic(path) as partial, av.open(str(partial), "w", format="mp4") as container:

        def add(image: Image) -> None:
            even = np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
            if not container.streams.video:
                stream = container.add_stream("h264", rate=rate, options={"crf": "20"})
                stream.height, stream.width = even.shape[:2]
                stream.pix_fmt = "yuv420p"  # which every player shows
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            container.mux(container.streams.video[0].encode(frame))

        yield add
        for stream in container.streams.video:
            container.mux(stream.encode())
