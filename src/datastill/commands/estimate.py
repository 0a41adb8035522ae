"""Hours and disk space that the rows of a profile cost here, from a short timed probe."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

from datastill.coco.format import PERSON
from datastill.coco.metadata import Metadata
from datastill.inference.views import View, build_inference
from datastill.project.profile import Profile
from datastill.project.rows import DistilledRow, SupervisedRow
from datastill.scheduler.benchmark import Load, Speed, probe
from datastill.stages.annotate import SAMPLE
from datastill.stages.train import count_processes, labelled_share

_GB = 1e9
_BOX = 40 + 26 + 14  # bytes of a candidate: its box, its verdict, its category and votes
_KEYPOINT = 3 * 8 + 4 + 2 + 1  # bytes of each of its keypoints
_UNKNOWN = (math.nan, math.nan)  # images of a set


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes of a profile; NaN if a set or backbone is unknown.

    keypoints  per instance
    most       detections of an image
    images     by set: the number of trainable images and of all
    speeds     by backbone, of those that were timed
    """

    profile: Profile
    keypoints: int
    most: int
    images: Mapping[str, tuple[int, int]]
    speeds: Mapping[str, Speed]

    def epochs(self, row: SupervisedRow) -> float:
        """Return the number of epochs of `row` over its labelled images."""
        params = self.profile.params
        share = labelled_share(self.profile, row) if isinstance(row, DistilledRow) else 1.0
        labelled = params.scaled_iterations(row.iterations) * params.train.batch * share
        return labelled / (self.images.get(row.labelled, _UNKNOWN)[0] or 1)

    def training(self, row: SupervisedRow) -> float:
        """Return the seconds of training `row`."""
        params = self.profile.params
        passes = params.train.batch / params.train.micro_batch_size / count_processes(self.profile)
        return params.scaled_iterations(row.iterations) * passes * self._speed(row).train_pass

    def annotating(self, row: SupervisedRow) -> float:
        """Return the seconds of annotating for `row`, 0 if it has no unlabelled set."""
        if not isinstance(row, DistilledRow):
            return 0.0
        images = self.images.get(row.unlabelled, _UNKNOWN)[1] * (row.ablation.fraction or 1)
        images += min(SAMPLE, self.images.get("val", _UNKNOWN)[1])  # for the expected precision
        models = self.profile.params.models(row.teacher)  # none of a teacher not trained here
        seconds = sum(self._speed(model).single_scale_pass for model in models) or math.nan
        return images * seconds * self._relative_cost(row.ablation.views)

    def testing(self, name: str, row: SupervisedRow) -> float:
        """Return the seconds of evaluating row `name` on val."""
        with_views = name in self.profile.params.evaluate.with_views
        work = 1 + self._relative_cost(None) if with_views else 1
        return self.images.get("val", _UNKNOWN)[1] * self._speed(row).single_scale_pass * work

    def _speed(self, row: SupervisedRow) -> Speed:
        return self.speeds.get(row.backbone, Speed(math.nan, math.nan, 0, 0))

    def _relative_cost(self, count: int | None) -> float:
        """Return the cost of inference through `count` views, None for all, in single-scale passes.

        Keypoints need boxes from the single scale first; as one of the views it runs only once.
        """
        settings = self.profile.params.views.settings()
        inference = build_inference(settings, Metadata((PERSON,)), count)
        views = [*inference.views]
        if self.profile.params.task == "keypoints" and inference.single_scale not in views:
            views.append(inference.single_scale)
        pixels = (math.prod(_size(view)) for view in views)
        return sum(pixels) / math.prod(_size(inference.single_scale))

    def disk(self) -> Iterator[str]:
        """Yield a line per kind of large file."""
        params = self.profile.params
        members = [row for name in params.ensembles for row in params.models(name)]
        weights, joined = (
            [4 * speed.parameters / _GB for row in rows if (speed := self.speeds.get(row.backbone))]
            for rows in (params.rows().values(), members)
        )
        if weights:
            total = 2 * sum(weights + joined)
            yield f"models of {len(weights)} rows: {total:.1f} GB, with ensembles and DVC's cache"
            state = 4 * max(weights)  # with momenta; the old state and the new one
            yield f"a training run in progress: {state:.1f} GB"
        unlabelled = {row.unlabelled for row in params.distilled.values()}
        images = sum(self.images[name][1] for name in unlabelled & self.images.keys())
        each = 3 * (_BOX + _KEYPOINT * self.keypoints)  # shard, evidence, DVC's cache; unpacked
        total = images * self.most * each / _GB
        yield f"candidates on {images:,} unlabelled images: at most {total:.1f} GB per teacher"


def _size(view: View) -> tuple[int, int]:
    """Return (height, width) of a 4 : 3 image in `view`."""
    return view.size(torch.empty(3, 480, 640))


def describe_batch(profile: Profile, row: SupervisedRow) -> str:
    """Return the expected composition of a batch of `row`."""
    batch = profile.params.train.batch
    if not isinstance(row, DistilledRow):
        return f"{batch} labelled"
    labelled = batch * labelled_share(profile, row)
    return f"{labelled:.3g} labelled + {batch - labelled:.3g} generated"


def time_backbones(
    profile: Profile, objects: tuple[int, int], seconds: float, report: Callable[[str], None]
) -> dict[str, Speed]:
    """Time the backbones of all rows, one after the other, until `seconds` have passed.

    objects  the number of their keypoints and of their categories
    report   receives a message for each backbone that the device has no memory for
    """
    train, views = profile.params.train, profile.params.views
    size = _size(View(sum(train.short_sides) // 2, train.long_side))
    single_scale = _size(View(views.plain_short_side, views.plain_long_side))
    load = Load(train.micro_batch_size, size, single_scale, *objects)
    started, speeds = time.monotonic(), dict[str, Speed]()
    for backbone in dict.fromkeys(row.backbone for row in profile.params.rows().values()):
        if time.monotonic() - started >= seconds:
            break
        try:
            speeds[backbone] = probe(backbone, load, train.precision, views.precision)
        except torch.OutOfMemoryError:
            images = f"{train.micro_batch_size} images at a time"
            advice = "lower train.micro_batch_size"
            report(f"{backbone}: {images} do not fit in the memory of this device; {advice}")
    return speeds
