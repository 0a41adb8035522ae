"""What will the rows of a profile cost here? Hours and disk, from a short timed probe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

from datastill.data.coco import PERSON
from datastill.data.subject import Subject
from datastill.distill.views import View
from datastill.evaluate.coco_ap import MOST_DETECTIONS
from datastill.params import DistilledRow, SupervisedRow
from datastill.stages.annotate import inference
from datastill.stages.place import Place
from datastill.stages.probe import Load, Speed, probe
from datastill.stages.train import count_processes, labelled_share

_GB = 1e9
_BOX = 40 + 26 + 14  # bytes of a candidate: its box, its verdict, its category and votes
_KEYPOINT = 3 * 8 + 4 + 2 + 1  # bytes of each of its keypoints


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes of a profile, as far as they are known.

    keypoints  of an instance
    images     of every set, those that teach something and in all
    speeds     of every backbone that was timed
    """

    place: Place
    keypoints: int
    images: Mapping[str, tuple[int, int]]
    speeds: Mapping[str, Speed]

    def epochs(self, row: SupervisedRow) -> float | None:
        """Return how often `row` sees each of its labelled images."""
        if row.labelled not in self.images:
            return None
        how, students = self.place.params.train, isinstance(row, DistilledRow)
        share = labelled_share(self.place, row) if students else 1.0
        seen = self.place.params.scaled(row.iterations) * how.batch * share
        return seen / max(1, self.images[row.labelled][0])

    def training(self, row: SupervisedRow) -> float | None:
        """Return the seconds that `row` trains."""
        how = self.place.params.train
        if row.backbone not in self.speeds:
            return None
        passes = how.batch / how.images_per_pass / count_processes(self.place)
        pass_seconds = self.speeds[row.backbone].train_pass
        return self.place.params.scaled(row.iterations) * passes * pass_seconds

    def annotating(self, row: SupervisedRow) -> float | None:
        """Return the seconds that the teacher of `row` looks at its unlabelled set, if it has."""
        if not isinstance(row, DistilledRow):
            return 0.0
        models = self.place.params.models(row.teacher)
        known = all(model.backbone in self.speeds for model in models)
        if not known or row.unlabelled not in self.images:
            return None
        images = self.images[row.unlabelled][1] * (row.ablation.fraction or 1)
        seconds = sum(self.speeds[model.backbone].plain_image for model in models)
        return images * seconds * (self._many() if row.ablation.views != 1 else 1)

    def testing(self, name: str, row: SupervisedRow) -> float | None:
        """Return the seconds that row `name` is tested on val."""
        if row.backbone not in self.speeds or "val" not in self.images:
            return None
        many = name in self.place.params.evaluate.with_views
        work = 1 + self._many() if many else 1
        return self.images["val"][1] * self.speeds[row.backbone].plain_image * work

    def _many(self) -> float:
        """Return how many plain passes a look with all views takes; keypoints need one more."""
        return self._views() + (self.place.params.task == "keypoints")

    def _views(self) -> float:
        """Return how many times the pixels of the plain view all views have, on a 4 : 3 image."""
        image = torch.empty(3, 480, 640)
        how = inference(self.place, Subject((PERSON,)), multi=True)
        return sum(map(_pixels, how.views, [image] * len(how.views))) / _pixels(how.plain, image)

    def disk(self) -> Iterator[str]:
        """Yield a line per kind of file that takes room."""
        rows = [row for row in self.place.params.rows().values() if row.backbone in self.speeds]
        if rows:
            sizes = [4 * self.speeds[row.backbone].parameters / _GB for row in rows]
            yield f"models of {len(rows)} rows: {2 * sum(sizes):.1f} GB, with DVC's copies"
            yield f"a training under way: {2 * max(sizes):.1f} GB"
        unlabelled = {row.unlabelled for row in self.place.params.distilled.values()}
        images = sum(self.images[name][1] for name in unlabelled & self.images.keys())
        each = 2 * (_BOX + _KEYPOINT * self.keypoints)  # in a shard and in the evidence, unpacked
        most = images * MOST_DETECTIONS[self.place.params.task] * each / _GB
        yield f"candidates on {images:,} unlabelled images: at most {most:.1f} GB a teacher"


def _pixels(view: View, image: torch.Tensor) -> int:
    height, width = view.size(image)
    return height * width


def mix(place: Place, row: SupervisedRow) -> str:
    """Return what a minibatch of `row` is made of, in expectation."""
    batch = place.params.train.batch
    if not isinstance(row, DistilledRow):
        return f"{batch} labelled"
    labelled = batch * labelled_share(place, row)
    return f"{labelled:.3g} labelled + {batch - labelled:.3g} generated"


def timed(
    place: Place,
    objects: tuple[int, int],
    seconds: float,
    complain: Callable[[str], None],
) -> dict[str, Speed]:
    """Time one backbone of the rows after the other until `seconds` are over.

    objects   how many keypoints an instance has, of how many categories they are
    complain  hears of backbones for which the device has not enough memory
    """
    how = place.params.train
    short = sum(how.short_sides) // 2
    size = short, min(how.long_side, round(short * 4 / 3))
    began, speeds = time.monotonic(), dict[str, Speed]()
    for backbone in dict.fromkeys(row.backbone for row in place.params.rows().values()):
        if time.monotonic() - began >= seconds:
            break
        try:
            speeds[backbone] = probe(
                backbone, Load(how.images_per_pass, size, *objects), how.precision
            )
        except torch.OutOfMemoryError:
            complain(
                f"{backbone}: {how.images_per_pass} images at a time do not fit into the memory of "
                "this device; lower train.images_per_pass"
            )
    return speeds
