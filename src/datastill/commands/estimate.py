"""What will the rows of a profile cost here? Hours and disk, from a short timed probe."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

from datastill.coco.format import PERSON
from datastill.coco.metadata import Metadata
from datastill.commands.benchmark import Load, Speed, probe
from datastill.evaluation.coco_ap import MOST_DETECTIONS
from datastill.inference.predictor import build_inference
from datastill.inference.views import View
from datastill.project.profile import Profile
from datastill.project.rows import DistilledRow, SupervisedRow
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

    profile: Profile
    keypoints: int
    images: Mapping[str, tuple[int, int]]
    speeds: Mapping[str, Speed]

    def epochs(self, row: SupervisedRow) -> float | None:
        """Return how often `row` sees each of its labelled images."""
        if row.labelled not in self.images:
            return None
        how, students = self.profile.params.train, isinstance(row, DistilledRow)
        share = labelled_share(self.profile, row) if students else 1.0
        seen = self.profile.params.scaled(row.iterations) * how.batch * share
        return seen / max(1, self.images[row.labelled][0])

    def training(self, row: SupervisedRow) -> float | None:
        """Return the seconds that `row` trains."""
        how = self.profile.params.train
        if row.backbone not in self.speeds:
            return None
        passes = how.batch / how.micro_batch_size / count_processes(self.profile)
        pass_seconds = self.speeds[row.backbone].train_pass
        return self.profile.params.scaled(row.iterations) * passes * pass_seconds

    def annotating(self, row: SupervisedRow) -> float | None:
        """Return the seconds that the teacher of `row` looks at its unlabelled set, if it has."""
        if not isinstance(row, DistilledRow):
            return 0.0
        models = self.profile.params.models(row.teacher)
        known = all(model.backbone in self.speeds for model in models)
        if not known or row.unlabelled not in self.images:
            return None
        images = self.images[row.unlabelled][1] * (row.ablation.fraction or 1)
        seconds = sum(self.speeds[model.backbone].plain_image for model in models)
        return images * seconds * self._look(row.ablation.views)

    def testing(self, name: str, row: SupervisedRow) -> float | None:
        """Return the seconds that row `name` is tested on val."""
        if row.backbone not in self.speeds or "val" not in self.images:
            return None
        work = 1 + self._look(None) if name in self.profile.params.evaluate.with_views else 1
        return self.images["val"][1] * self.speeds[row.backbone].plain_image * work

    def _look(self, views: int | None) -> float:
        """Return how many plain passes a look through so many views, None for all, takes.

        Keypoints need the plain one first, for their boxes; as a view it costs no second one.
        """
        how = build_inference(self.profile.params.views.model_dump(), Metadata((PERSON,)), views)
        passes = list(how.views)
        if self.profile.params.task == "keypoints":
            passes = [how.plain, *(view for view in how.views if view != how.plain)]
        return sum(map(_pixels, passes)) / _pixels(how.plain)

    def disk(self) -> Iterator[str]:
        """Yield a line per kind of file that takes room."""
        rows = [row for row in self.profile.params.rows().values() if row.backbone in self.speeds]
        joined = (self.profile.params.models(name) for name in self.profile.params.ensembles)
        members = [row for three in joined for row in three if row.backbone in self.speeds]
        if rows:
            total = 2 * sum(map(self._weights, [*rows, *members]))
            state = 4 * max(map(self._weights, rows))  # momenta too; the old one and the new one
            yield f"models of {len(rows)} rows: {total:.1f} GB, with ensembles and DVC's copies"
            yield f"a training under way: {state:.1f} GB"
        unlabelled = {row.unlabelled for row in self.profile.params.distilled.values()}
        images = sum(self.images[name][1] for name in unlabelled & self.images.keys())
        each = 3 * (_BOX + _KEYPOINT * self.keypoints)  # shard, evidence, DVC's copy; unpacked
        most = images * MOST_DETECTIONS[self.profile.params.task] * each / _GB
        yield f"candidates on {images:,} unlabelled images: at most {most:.1f} GB a teacher"

    def _weights(self, row: SupervisedRow) -> float:
        """Return the GB that the weights of `row` take."""
        return 4 * self.speeds[row.backbone].parameters / _GB


def _size(view: View) -> tuple[int, int]:
    """Return (height, width) of a 4 : 3 image in `view`."""
    return view.size(torch.empty(3, 480, 640))


def _pixels(view: View) -> int:
    return math.prod(_size(view))


def mix(profile: Profile, row: SupervisedRow) -> str:
    """Return what a minibatch of `row` is made of, in expectation."""
    batch = profile.params.train.batch
    if not isinstance(row, DistilledRow):
        return f"{batch} labelled"
    labelled = batch * labelled_share(profile, row)
    return f"{labelled:.3g} labelled + {batch - labelled:.3g} generated"


def timed(
    profile: Profile,
    objects: tuple[int, int],
    seconds: float,
    complain: Callable[[str], None],
) -> dict[str, Speed]:
    """Time one backbone of the rows after the other until `seconds` are over.

    objects   how many keypoints an instance has, of how many categories they are
    complain  hears of backbones for which the device has not enough memory
    """
    how, views = profile.params.train, profile.params.views
    learnt = View(sum(how.short_sides) // 2, how.long_side)
    plain = View(views.plain_short_side, views.plain_long_side)
    load = Load(how.micro_batch_size, _size(learnt), _size(plain), *objects)
    began, speeds = time.monotonic(), dict[str, Speed]()
    for backbone in dict.fromkeys(row.backbone for row in profile.params.rows().values()):
        if time.monotonic() - began >= seconds:
            break
        try:
            speeds[backbone] = probe(backbone, load, how.precision, views.precision)
        except torch.OutOfMemoryError:
            complain(
                f"{backbone}: {how.micro_batch_size} images at a time do not fit in the memory of "
                "this device; lower train.micro_batch_size"
            )
    return speeds
