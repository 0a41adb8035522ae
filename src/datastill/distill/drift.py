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
ODD = 1.5  # times as many, or as few: the same threshold means another thing on either set
_SHARES = np.linspace(0, 1, 11)
_MOST = 5  # instances per image that are counted apart


@dataclass(frozen=True)
class SetStats:
    """A set as one sees it without looking for anything.

    widths, heights  (n,) in pixels
    brightness       (n,) mean of an image, 0 to 255
    instances        (n,) annotated on each image, by hand or by a teacher
    scores           (m,) of what the teacher finds in `looked` of the images
    """

    widths: NDArray[np.float64]
    heights: NDArray[np.float64]
    brightness: NDArray[np.float64]
    instances: NDArray[np.int64]
    scores: NDArray[np.float64]
    looked: int

    def found(self, threshold: float) -> float:
        """Return how many instances the teacher finds in an image, on average."""
        return float((self.scores >= threshold).sum()) / max(1, self.looked)

    def measures(self) -> dict[str, NDArray[np.float64]]:
        """Return what is compared, by name."""
        return {
            "size": np.log2(np.sqrt(self.widths * self.heights)),
            "aspect": np.log2(self.widths / self.heights),
            "brightness": self.brightness,
        }


def drift(labelled: SetStats, unlabelled: SetStats, threshold: float | None) -> dict[str, Any]:
    """Return the drift card: both sets in numbers, and what to beware of at that `threshold`.

    It is None where every category has its own; then nothing is said of any.
    """
    shift = {name: round(value, 2) for name, value in _shifts(labelled, unlabelled)}
    advice = "do they show as many people? If not, select.instances: prior"
    if threshold is None:
        advice = "do they show as much of every category? If not, select.instances: fixed"
    warnings = [*_moved(shift, advice)]
    if threshold is not None:
        warnings += [*_doubtful(threshold), *_miscounted(labelled, threshold)]
    return {
        "labelled": _described(labelled, threshold),
        "unlabelled": _described(unlabelled, threshold),
        "shift": shift,
        "warnings": warnings,
    }


def _described(look: SetStats, threshold: float | None) -> dict[str, Any]:
    means = {name: round(float(values.mean()), 2) for name, values in look.measures().items()}
    counts = np.bincount(np.minimum(look.instances, _MOST), minlength=_MOST + 1)
    tenths = np.histogram(look.scores, _SHARES)[0] / max(1, look.looked)
    return {
        **means,
        "images_by_instances": counts.tolist(),
        "candidates_per_image_by_score": tenths.round(3).tolist(),
        **({} if threshold is None else {"found_per_image": round(look.found(threshold), 3)}),
    }


def _shifts(labelled: SetStats, unlabelled: SetStats) -> Iterator[tuple[str, float]]:
    """Yield by how many standard deviations of the labelled set each mean is off."""
    theirs = unlabelled.measures()
    for name, mine in labelled.measures().items():
        deviation = max(float(mine.std()), 1e-3)
        yield name, float(theirs[name].mean() - mine.mean()) / deviation


def _moved(shift: dict[str, float], advice: str) -> Iterator[str]:
    moved = [f"{name} {value:+.1f}" for name, value in shift.items() if abs(value) > LARGE]
    if moved:
        yield (
            f"the unlabelled images differ from the labelled ones ({', '.join(moved)} standard "
            f"deviations): {advice}"
        )


def _doubtful(threshold: float) -> Iterator[str]:
    if threshold < UNSURE:
        yield f"to match the labelled set, boxes down to a score of {threshold:.2f} are accepted"
    if threshold > SURE:
        yield f"to match the labelled set, boxes up to a score of {threshold:.2f} are rejected"


def _miscounted(labelled: SetStats, threshold: float) -> Iterator[str]:
    """Yield a warning where the threshold does not find on labelled images what people marked."""
    found, annotated = labelled.found(threshold), float(labelled.instances.mean())
    if not annotated / ODD <= found <= annotated * ODD:
        yield (
            f"at the threshold of {threshold:.2f} the teacher finds {found:.2f} per labelled "
            f"image, where people marked {annotated:.2f}: the unlabelled images probably do not "
            "show as many; give select.per_image a number of your own with instances: prior"
        )


def look_at(
    images: Sequence[dict[str, Any]],
    brightness: Sequence[float],
    counts: Sequence[int],
    scores: NDArray[np.float64],
    looked: int,
) -> SetStats:
    """Return the look of COCO `images` with these mean brightnesses and numbers of instances."""
    return SetStats(
        np.array([image["width"] for image in images], dtype=float),
        np.array([image["height"] for image in images], dtype=float),
        np.asarray(brightness, dtype=float),
        np.asarray(counts, dtype=np.int64),
        scores,
        looked,
    )
