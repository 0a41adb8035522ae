"""Is the unlabelled set like the labelled one? Count matching supposes that people are as many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGE = 0.5  # of the labelled set's standard deviations: a medium effect in Cohen's terms
UNSURE = 0.5  # a threshold below it lets more wrong than right boxes through, by the teacher's word
SURE = 0.95  # above it, boxes are left out of which the teacher is all but certain
_SHARES = np.linspace(0, 1, 11)
_MOST = 5  # instances per image that are counted apart


@dataclass(frozen=True)
class Look:
    """A set as one sees it without looking for anything.

    widths, heights  (n,) in pixels
    brightness       (n,) mean of an image, 0 to 255
    instances        (n,) annotated on each image, by hand or by a teacher
    """

    widths: NDArray[np.float64]
    heights: NDArray[np.float64]
    brightness: NDArray[np.float64]
    instances: NDArray[np.int64]

    def measures(self) -> dict[str, NDArray[np.float64]]:
        """Return what is compared, by name."""
        return {
            "size": np.log2(np.sqrt(self.widths * self.heights)),
            "aspect": np.log2(self.widths / self.heights),
            "brightness": self.brightness,
        }


def drift(
    labelled: Look, unlabelled: Look, scores: NDArray[np.float64], threshold: float
) -> dict[str, Any]:
    """Return the drift card: both sets in numbers, the teacher's scores, and what to beware of."""
    card = {
        "labelled": _described(labelled),
        "unlabelled": _described(unlabelled),
        "shift": {name: round(value, 2) for name, value in _shifts(labelled, unlabelled)},
        "scores": np.histogram(scores, _SHARES)[0].tolist(),
    }
    return {**card, "warnings": list(_warnings(card["shift"], threshold))}


def _described(look: Look) -> dict[str, Any]:
    means = {name: round(float(values.mean()), 2) for name, values in look.measures().items()}
    counts = np.bincount(np.minimum(look.instances, _MOST), minlength=_MOST + 1)
    return {**means, "images_by_instances": counts.tolist()}


def _shifts(labelled: Look, unlabelled: Look) -> Iterator[tuple[str, float]]:
    """Yield by how many standard deviations of the labelled set each mean is off."""
    theirs = unlabelled.measures()
    for name, mine in labelled.measures().items():
        deviation = max(float(mine.std()), 1e-3)
        yield name, float(theirs[name].mean() - mine.mean()) / deviation


def _warnings(shift: dict[str, float], threshold: float) -> Iterator[str]:
    moved = [f"{name} {value:+.1f}" for name, value in shift.items() if abs(value) > LARGE]
    if moved:
        yield (
            f"the unlabelled images differ from the labelled ones ({', '.join(moved)} standard "
            "deviations): do they show as many people? If not, select.instances: prior"
        )
    if threshold < UNSURE:
        yield f"to match the labelled set, boxes down to a score of {threshold:.2f} are accepted"
    if threshold > SURE:
        yield f"to match the labelled set, boxes up to a score of {threshold:.2f} are rejected"


def look_at(images: Sequence[dict[str, Any]], brightness: Sequence[float], counts: Any) -> Look:
    """Return the look of COCO `images` with these mean brightnesses and numbers of instances."""
    return Look(
        np.array([image["width"] for image in images], dtype=float),
        np.array([image["height"] for image in images], dtype=float),
        np.asarray(brightness, dtype=float),
        np.asarray(counts, dtype=np.int64),
    )
