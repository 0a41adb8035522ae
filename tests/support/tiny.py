"""Tiny pictures and videos, told apart by a number."""

from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np

WIDTH, HEIGHT = 64, 48


def picture(number: int) -> np.ndarray:
    """Large coloured shapes, which any encoding keeps."""
    cells = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(cells, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def write_video(path: Path, numbers: Iterable[int]) -> None:
    """A video that shows the pictures of these numbers one after the other."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        for number in numbers:
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
