"""Views of an image, and the inference that `params.yaml` builds from them (section 4)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, get_args

import torch
from torch import Tensor

from datastill.coco.metadata import Metadata
from datastill.errors import DataError
from datastill.images.geometry import mirror_boxes, resize, scaled_size, turn_boxes
from datastill.inference.heatmaps import Average
from datastill.model.precision import Choice, Precision, resolve_precision


@dataclass(frozen=True)
class View:
    """An image resized to `short_side` pixels, no side over `long_side`, mirrored or not, and then
    turned clockwise by a number of quarter `turns`.
    """

    short_side: int
    long_side: int
    flip: bool = False
    turns: int = 0

    def size(self, image: Tensor) -> tuple[int, int]:
        """Return (height, width) of this view of `image`."""
        height, width = self._upright_size(image)
        return (width, height) if self.turns % 2 else (height, width)

    def apply(self, image: Tensor) -> Tensor:
        """Return the view of `image` (3, h, w) uint8."""
        view = resize(image, self.short_side, self.long_side)
        return (view.flip(-1) if self.flip else view).rot90(-self.turns, (-2, -1))

    def boxes(self, boxes: Tensor, image: Tensor) -> Tensor:
        """Return `boxes` (n, 4) of `image` in the frame of the view."""
        scaled, size = boxes * self._factors(image).to(boxes), self._upright_size(image)
        upright = mirror_boxes(scaled, size[1]) if self.flip else scaled
        return turn_boxes(upright, size, self.turns)

    def boxes_back(self, boxes: Tensor, image: Tensor) -> Tensor:
        """Return `boxes` (n, 4) of the view in the frame of `image`."""
        upright = turn_boxes(boxes, self.size(image), -self.turns)
        scaled = mirror_boxes(upright, self._upright_size(image)[1]) if self.flip else upright
        return scaled / self._factors(image).to(boxes)

    def heatmaps_back(self, heatmaps: Tensor, flip_indices: Sequence[int]) -> Tensor:
        """Return `heatmaps` (n, k, m, m) of the view's RoIs in the frame of the image's RoIs.

        A heatmap lies in the frame of its RoI, so scale needs no undoing; a flip needs both the
        map mirrored and each keypoint exchanged for its partner.
        """
        upright = heatmaps.rot90(self.turns, (-2, -1))
        return upright.flip(-1)[:, list(flip_indices)] if self.flip else upright

    def _upright_size(self, image: Tensor) -> tuple[int, int]:
        return scaled_size(image.shape[-2], image.shape[-1], self.short_side, self.long_side)

    def _factors(self, image: Tensor) -> Tensor:
        # Sizes are whole pixels, so x and y scale by slightly different factors.
        height, width = self._upright_size(image)
        x, y = width / image.shape[-1], height / image.shape[-2]
        return torch.tensor([x, y, x, y])


def all_views(
    short_sides: Sequence[int], long_side: int, flip: bool, quarter_turns: bool = False
) -> tuple[View, ...]:
    """Return every scale, unflipped and (with `flip`) flipped: the paper's 9 x 2 = 18; with
    `quarter_turns`, each also turned by 90, 180 and 270 degrees.
    """
    flips, turns = (False, True) if flip else (False,), range(4 if quarter_turns else 1)
    return tuple(
        View(side, long_side, flipped, turned)
        for side in short_sides
        for turned, flipped in product(turns, flips)
    )


@dataclass(frozen=True)
class ViewSettings:
    """Section `views` of `params.yaml`, also kept in the card of an exported model.

    plain_short_side, plain_long_side  of the single-scale view, in pixels
    short_sides, long_side, flip, quarter_turns  of multi-transform inference
    voting_iou  overlap from which a box of one view votes for one of another
    batch       single-scale views of 4:3 images per forward pass
    """

    plain_short_side: int
    plain_long_side: int
    short_sides: tuple[int, ...]
    long_side: int
    flip: bool
    voting_iou: float
    batch: int
    precision: Choice
    quarter_turns: bool = False


def parse_settings(section: Any, source: str) -> ViewSettings:
    """Return the settings in a JSON `section`; raises DataError naming `source` and key."""
    if not isinstance(section, dict):
        raise DataError(f"{source}: expected view settings, found {section!r}")
    known: dict[str, Any] = {f.name: section.get(f.name) for f in fields(ViewSettings)}
    known["quarter_turns"] = section.get("quarter_turns", False)
    sides, iou = known["short_sides"], known["voting_iou"]
    valid = {key: _is_positive(value) for key, value in known.items()} | {
        "short_sides": isinstance(sides, list) and sides != [] and all(map(_is_positive, sides)),
        **{key: isinstance(known[key], bool) for key in ("flip", "quarter_turns")},
        "voting_iou": type(iou) in (int, float) and 0 < iou <= 1,
        "precision": known["precision"] in ("auto", *get_args(Precision)),
    }
    for key in (key for key in known if not valid[key]):
        raise DataError(
            f"{source}.{key}: expected a value as for views.{key} in params.yaml, found "
            f"{known[key]!r}; export the model again"
        )
    return ViewSettings(**known | {"short_sides": tuple(sides)})


def _is_positive(value: Any) -> bool:
    return type(value) is int and value > 0


@dataclass(frozen=True)
class Inference:
    """How a detector predicts on an image.

    single_scale  the one view that finds boxes with keypoints
    views         all that place keypoints, or find boxes without any
    flip_indices  each keypoint's partner in a mirror image
    pixels        of views per forward pass, if there is more than one
    categories    COCO ids by the labels of the network, from label 1 on
    voting_iou    overlap from which a box of one view votes for one of another
    average       what the mean over views is taken of: the paper averages probabilities
    """

    single_scale: View
    views: tuple[View, ...]
    flip_indices: tuple[int, ...]
    precision: Precision = "32-true"
    pixels: int = 1_000_000
    categories: tuple[int, ...] = (1,)
    voting_iou: float = 1.0
    average: Average = "probabilities"


def build_inference(
    settings: ViewSettings, metadata: Metadata, count: int | None, average: Average | None = None
) -> Inference:
    """Return the inference through `count` views of `settings`: 1 is single-scale, None is all.

    Fewer than all are those closest in scale to the single-scale view. Raises DataError if
    `count` is out of range.
    """
    short_side = settings.plain_short_side
    single_scale = View(short_side, settings.plain_long_side)
    views = all_views(
        settings.short_sides, settings.long_side, settings.flip, settings.quarter_turns
    )
    if count is not None and not 1 <= count <= max(1, len(views)):
        raise DataError(f"--views: expected 1 to {len(views)}, or all, found {count}")
    if count == 1:
        views = (single_scale,)
    elif count is not None:
        views = tuple(sorted(views, key=lambda view: abs(math.log(view.short_side / short_side))))
    return Inference(
        single_scale,
        views[:count],
        metadata.skeleton.flip_indices,
        resolve_precision(settings.precision),
        pixels=settings.batch * short_side * short_side * 4 // 3,
        categories=metadata.ids,
        voting_iou=settings.voting_iou,
        average=average or "probabilities",
    )
