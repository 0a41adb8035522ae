"""Drift: differences between the unlabelled set and the labelled one.

Count matching assumes that both show as many instances per image.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datastill.distill.thresholds import Threshold

LARGE = 0.5  # of the labelled set's standard deviations: a medium effect in Cohen's terms
UNSURE = 0.5  # a threshold below it accepts boxes that are more likely wrong, by their own score
SURE = 0.95  # a threshold above it rejects boxes of which the teacher is almost certain
ODD = 1.5  # ratio of counts, in either direction, from which a threshold is called unsuitable
_TENTHS = np.linspace(0, 1, 11)
_NAMED = 8  # categories in a warning
_MAX_COUNTED = 5  # instances per image; images with more are counted together


@dataclass(frozen=True)
class SetStats:
    """Summary statistics of an image set.

    widths, heights  (n,) in pixels
    brightness       (n,) mean of an image, 0 to 255
    instances        (n,) annotated on each image, by people or by a teacher
    scores           (m,) of the teacher's candidates in `inferred` of the images
    """

    widths: NDArray[np.float64]
    heights: NDArray[np.float64]
    brightness: NDArray[np.float64]
    instances: NDArray[np.int64]
    scores: NDArray[np.float64]
    inferred: int

    def candidates_per_image(self, threshold: float) -> float:
        """Return the mean number of candidates that score at least `threshold`."""
        return float((self.scores >= threshold).sum()) / max(1, self.inferred)

    def measures(self) -> dict[str, NDArray[np.float64]]:
        """Return the compared statistics, by name."""
        return {
            "size": np.log2(np.sqrt(self.widths * self.heights)),
            "aspect": np.log2(self.widths / self.heights),
            "brightness": self.brightness,
        }


def drift(labelled: SetStats, unlabelled: SetStats, threshold: float | None) -> dict[str, Any]:
    """Return the drift card: the statistics of both sets, and warnings.

    threshold  on scores; None if every category has its own, which then causes no warning
    """
    others = unlabelled.measures()
    shift = {  # of each mean, in standard deviations of the labelled set
        name: round(float(others[name].mean() - values.mean()) / max(float(values.std()), 1e-3), 2)
        for name, values in labelled.measures().items()
    }
    warnings = [*_shift_warnings(shift, by_category=threshold is None)]
    if threshold is not None:
        warnings += _threshold_warnings(labelled, threshold)
    return {
        "labelled": _described(labelled, threshold),
        "unlabelled": _described(unlabelled, threshold),
        "shift": shift,
        "warnings": warnings,
    }


def _described(stats: SetStats, threshold: float | None) -> dict[str, Any]:
    means = {name: round(float(values.mean()), 2) for name, values in stats.measures().items()}
    capped = np.minimum(stats.instances, _MAX_COUNTED)
    tenths = np.histogram(stats.scores, _TENTHS)[0] / max(1, stats.inferred)
    facts = {
        **means,
        "images_by_instances": np.bincount(capped, minlength=_MAX_COUNTED + 1).tolist(),
        "candidates_per_image_by_score": tenths.round(3).tolist(),
    }
    if threshold is not None:
        facts["found_per_image"] = round(stats.candidates_per_image(threshold), 3)
    return facts


def _shift_warnings(shift: dict[str, float], *, by_category: bool) -> Iterator[str]:
    if large := [f"{name} {value:+.1f}" for name, value in shift.items() if abs(value) > LARGE]:
        boxes, people = ("as much of every category", "fixed"), ("as many people", "prior")
        count, rule = boxes if by_category else people
        yield (
            f"the unlabelled images differ from the labelled ones ({', '.join(large)} standard "
            f"deviations): do they show {count}? If not, select.instances: {rule}"
        )


def _threshold_warnings(labelled: SetStats, threshold: float) -> Iterator[str]:
    if threshold < UNSURE:
        yield f"to match the labelled set, boxes down to a score of {threshold:.2f} are accepted"
    if threshold > SURE:
        yield f"to match the labelled set, boxes up to a score of {threshold:.2f} are rejected"
    kept, annotated = labelled.candidates_per_image(threshold), float(labelled.instances.mean())
    if not annotated / ODD <= kept <= annotated * ODD:
        yield (
            f"at the threshold of {threshold:.2f} the teacher finds {kept:.2f} per labelled "
            f"image, where people marked {annotated:.2f}: the unlabelled images probably do not "
            "show as many; give select.per_image a number of your own with instances: prior"
        )


def category_warnings(
    names: Sequence[str], labelled: Collection[str], thresholds: Mapping[str, Threshold]
) -> Iterator[str]:
    """Yield the categories that are not annotated as densely as by people, and why.

    labelled    those of `names` with a labelled instance
    thresholds  of the categories that are wanted
    """
    kept = {name: t for name, t in thresholds.items() if t.kept}
    cases = {
        "wanted to match the labelled set, and never predicted by the teacher": [
            f"{n} ({t.wanted})" for n, t in thresholds.items() if t.exhausted and not t.kept
        ],
        "predicted too rarely to match the labelled set; all are kept, whatever their score": [
            f"{name} ({t.kept} of {t.wanted})" for name, t in kept.items() if t.exhausted
        ],
        f"to match the labelled set, accepted at a score below {UNSURE:g}": [
            f"{name} ({t.value:.2f})" for name, t in kept.items() if t.value < UNSURE
        ],
        "too rare in the labelled set to expect one in so few images, so none is annotated": [
            name for name in names if name in labelled and name not in thresholds
        ],
        "without a labelled instance, so none is annotated": [
            name for name in names if name not in labelled
        ],
    }
    for problem, categories in cases.items():
        more = [f"and {len(categories) - _NAMED} more"] if len(categories) > _NAMED else []
        if categories:
            yield f"{problem}: {', '.join([*categories[:_NAMED], *more])}"
