"""What became of an image's candidates: verdicts, mean heatmaps and what each view says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datastill.images.contact_sheet import Image

_WIDTH = 480  # pixels of each of the three panels
_ACCEPTED, _REJECTED, _VIEW = (90, 235, 120), (240, 80, 70), (80, 190, 255)


@dataclass(frozen=True)
class Candidate:
    """A candidate, what was decided about it and from what.

    box        (4,)          x1, y1, x2, y2 in pixels of the image
    name                     its category, "" where there is but one
    keypoints  (k, 3)        x, y, probability
    kept       (k,)          whether a keypoint is part of the annotation
    heatmaps   (k, m, m)     mean probabilities over the views, in the frame of the box
    views      (views, k, 2) where each view by itself places the keypoints
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
    every view and keypoint, so that what they disagree on is a cloud.
    """
    scale = _WIDTH / image.shape[1]
    size = (_WIDTH, round(image.shape[0] * scale))
    plain = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    panels = [_verdicts(plain, candidates, scale), _heat(plain, candidates, scale)]
    return np.hstack([*panels, _views(plain, candidates, scale)])


def box_sheet(image: Image, candidates: Sequence[Candidate], seen: NDArray[np.float64]) -> Image:
    """Return two panels side by side of the RGB `image`: the verdicts, and the boxes `seen` (n, 4)
    by any view, so that what they disagree on is blurred.
    """
    scale = _WIDTH / image.shape[1]
    size = (_WIDTH, round(image.shape[0] * scale))
    plain = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    panel = np.asarray(plain // 2, np.uint8)
    for x1, y1, x2, y2 in np.rint(scale * seen).astype(int).tolist():
        cv2.rectangle(panel, (x1, y1), (x2, y2), _VIEW, 1, cv2.LINE_AA)
    return np.hstack([_verdicts(plain, candidates, scale), panel])


def _verdicts(plain: Image, candidates: Sequence[Candidate], scale: float) -> Image:
    panel = plain.copy()
    for candidate in sorted(candidates, key=lambda each: each.accepted):
        colour = _ACCEPTED if candidate.accepted else _REJECTED
        x1, y1, x2, y2 = np.rint(scale * candidate.box).astype(int).tolist()
        cv2.rectangle(panel, (x1, y1), (x2, y2), colour, 1, cv2.LINE_AA)
        spot = (x1 + 2, max(y1 + 11, 11))
        text = f"{candidate.name} {candidate.score:.2f}".strip()
        cv2.putText(panel, text, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
        for x, y, _ in candidate.keypoints[candidate.kept]:
            spot = round(scale * x), round(scale * y)
            cv2.circle(panel, spot, 3, colour, cv2.FILLED, cv2.LINE_AA)
    return panel


def _heat(plain: Image, candidates: Sequence[Candidate], scale: float) -> Image:
    heat = np.zeros(plain.shape[:2], np.float32)
    for candidate in candidates:
        x1, y1, x2, y2 = np.rint(scale * candidate.box).astype(int).tolist()
        peaks = candidate.heatmaps / candidate.heatmaps.max((1, 2), keepdims=True)
        size = max(1, x2 - x1), max(1, y2 - y1)
        patch = cv2.resize(peaks.max(0), size, interpolation=cv2.INTER_LINEAR)
        left, top = max(0, x1), max(0, y1)
        seen = heat[top:y2, left:x2]
        np.maximum(seen, patch[top - y1 :, left - x1 :][: len(seen), : seen.shape[1]], out=seen)
    colours = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return np.asarray(plain // 3 + colours // 3 * 2, np.uint8)


def _views(plain: Image, candidates: Sequence[Candidate], scale: float) -> Image:
    panel = np.asarray(plain // 2, np.uint8)
    for candidate in candidates:
        for x, y in candidate.views.reshape(-1, 2):
            cv2.circle(panel, (round(scale * float(x)), round(scale * float(y))), 1, _VIEW, -1)
    return panel
