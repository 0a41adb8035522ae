"""Pictures of an image's candidates: verdicts, mean heatmaps and the views' disagreement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from datastill.images.contact_sheet import Image

_WIDTH = 480  # pixels of each of the three panels
_ACCEPTED, _REJECTED, _VIEW = (90, 235, 120), (240, 80, 70), (80, 190, 255)


@dataclass(frozen=True)
class Candidate:
    """A candidate, the verdict on it and its evidence.

    box        (4,)          x1, y1, x2, y2 in pixels of the image
    name                     its category, "" if there is only one
    keypoints  (k, 3)        x, y, probability
    kept       (k,)          whether a keypoint is part of the annotation
    heatmaps   (k, m, m)     mean probabilities over the views, in the frame of the box
    views      (views, k, 2) positions of the keypoints in each single view
    """

    box: NDArray[np.float64]
    score: float
    accepted: bool
    keypoints: NDArray[np.float64]
    kept: NDArray[np.bool_]
    heatmaps: NDArray[np.float32]
    views: NDArray[np.float32]
    name: str = ""


def verdict_sheet(image: Image, candidates: Sequence[Candidate]) -> Image:
    """Return three panels side by side of the RGB `image` (h, w, 3).

    Verdicts: accepted candidates green, rejected ones red, with their scores and kept keypoints.
    Mean heatmap: the highest probability of any keypoint, brightest at its peak. Views: a dot for
    every view and keypoint, so that disagreement shows as a cloud.
    """
    panel, scale = _resized(image)
    dots = np.asarray(panel // 2, np.uint8)
    for candidate in candidates:
        for x, y in _pixels(candidate.views.reshape(-1, 2), scale):
            cv2.circle(dots, (x, y), 1, _VIEW, -1)
    heat = _draw_heatmaps(panel, candidates, scale)
    return np.hstack([_draw_verdicts(panel, candidates, scale), heat, dots])


def box_sheet(image: Image, candidates: Sequence[Candidate], boxes: NDArray[np.float64]) -> Image:
    """Return two panels side by side of the RGB `image`: the verdicts, and the `boxes` (n, 4) of
    all views, so that disagreement shows as a blur.
    """
    panel, scale = _resized(image)
    dark = np.asarray(panel // 2, np.uint8)
    for x1, y1, x2, y2 in _pixels(boxes, scale):
        cv2.rectangle(dark, (x1, y1), (x2, y2), _VIEW, 1, cv2.LINE_AA)
    return np.hstack([_draw_verdicts(panel, candidates, scale), dark])


def _resized(image: Image) -> tuple[Image, float]:
    scale = _WIDTH / image.shape[1]
    size = (_WIDTH, round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _pixels(values: NDArray[Any], scale: float) -> Any:
    return np.rint(scale * values.astype(float)).astype(int).tolist()


def _draw_verdicts(panel: Image, candidates: Sequence[Candidate], scale: float) -> Image:
    panel = panel.copy()
    for candidate in sorted(candidates, key=lambda each: each.accepted):
        colour = _ACCEPTED if candidate.accepted else _REJECTED
        x1, y1, x2, y2 = _pixels(candidate.box, scale)
        cv2.rectangle(panel, (x1, y1), (x2, y2), colour, 1, cv2.LINE_AA)
        text, corner = f"{candidate.name} {candidate.score:.2f}".strip(), (x1 + 2, max(y1 + 11, 11))
        cv2.putText(panel, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
        for x, y, _ in _pixels(candidate.keypoints[candidate.kept], scale):
            cv2.circle(panel, (x, y), 3, colour, cv2.FILLED, cv2.LINE_AA)
    return panel


def _draw_heatmaps(panel: Image, candidates: Sequence[Candidate], scale: float) -> Image:
    heat = np.zeros(panel.shape[:2], np.float32)
    for candidate in candidates:
        x1, y1, x2, y2 = _pixels(candidate.box, scale)
        peaks = candidate.heatmaps / candidate.heatmaps.max((1, 2), keepdims=True)
        size = max(1, x2 - x1), max(1, y2 - y1)
        patch = cv2.resize(peaks.max(0), size, interpolation=cv2.INTER_LINEAR)
        left, top = max(0, x1), max(0, y1)
        visible = heat[top:y2, left:x2]
        patch = patch[top - y1 :, left - x1 :][: len(visible), : visible.shape[1]]
        np.maximum(visible, patch, out=visible)
    colours = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return np.asarray(panel // 3 + colours // 3 * 2, np.uint8)
