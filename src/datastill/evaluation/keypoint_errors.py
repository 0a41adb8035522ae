"""Errors of keypoints by kind: jitter, inversion, swap, miss (Ronchi & Perona, ICCV 2017)."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from datastill.coco.format import Record
from datastill.evaluation.image_pairs import NEAR, RIGHT, ImagePairs, Numbers, keypoints

KINDS = ("good", "jitter", "inversion", "swap", "miss", "undetected")
GOOD = 0.85  # similarity of a keypoint (a term of OKS) from which its place is right


def keypoint_errors(images: Iterable[ImagePairs], sigmas: Sequence[float]) -> Numbers:
    """Return how many marked keypoints are of each of KINDS, by keypoint, (kinds, k).

    A keypoint of similarity 0.5 to 0.85 jitters. Below, it is an inversion if it lies where the
    same object has another keypoint, a swap if another object has one there (the more similar of
    the two, if both), else a miss. The keypoints of an object without a detection are undetected.
    """
    counts = np.zeros((len(KINDS), len(sigmas)))
    for pairs in images:
        partners = pairs.partners(NEAR)
        for index, truth in enumerate(pairs.truths):
            marked = keypoints([truth])[0, :, 2] > 0
            kinds: NDArray[np.int64] = np.full(
                len(sigmas), KINDS.index("undetected"), dtype=np.int64
            )
            if index in partners:
                detection = pairs.detections[int(np.flatnonzero(partners == index)[0])]
                kinds = _kinds(keypoints([detection])[0, :, :2], pairs.truths, index, sigmas)
            np.add.at(counts, (kinds[marked], np.flatnonzero(marked)), 1)
    return counts


def _kinds(
    points: Numbers, truths: Sequence[Record], own: int, sigmas: Sequence[float]
) -> NDArray[np.int64]:
    """Return the kind of each detected keypoint (k, 2) of the object `own`, (k,)."""
    true = keypoints(truths)
    areas = np.array([truth["area"] for truth in truths], dtype=float) + np.spacing(1)
    squared = np.square(points[:, None, None] - true[None, ..., :2]).sum(axis=-1)  # (k, t, k)
    scale = 2 * areas[:, None] * np.square(2 * np.asarray(sigmas))
    near = np.where(true[..., 2] > 0, np.exp(-squared / scale), 0)
    itself = near[np.arange(len(points)), own, np.arange(len(points))]
    within = near[:, own].max(axis=1)
    others = np.delete(near, own, axis=1).reshape(len(points), -1).max(axis=1, initial=0)
    names = np.select(
        [itself >= GOOD, itself >= RIGHT, (within >= RIGHT) & (within >= others), others >= RIGHT],
        [KINDS.index(kind) for kind in ("good", "jitter", "inversion", "swap")],
        KINDS.index("miss"),
    )
    return np.asarray(names, dtype=np.int64)
