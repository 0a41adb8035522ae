"""The method in one picture: an image, its views, their one annotation, the student's gain."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from datastill.coco.format import Record
from datastill.coco.metadata import Metadata
from datastill.images.contact_sheet import Image, draw_annotations
from datastill.io import atomic
from datastill.report.plots import STYLES

_INK, _GREY = "#222222", "#666666"
_DPI, _WIDE = 150, 460  # of the picture; pixels of an image in it
_GAP = 10  # pixels between views
_TRAININGS = {"supervised": "labels\nalone", "distilled": "with such\nannotations"}


@dataclass(frozen=True)
class Example:
    """An unlabelled image (RGB), views of it, and what the teacher makes of them.

    views        an image each: the upright ones, then as many mirrored ones
    by_view      the annotations of each view by itself, in its frame
    annotations  the ensembled ones, in the frame of `image`
    view_count   of all views, of which `views` are some
    """

    image: Image
    views: Sequence[Image]
    by_view: Sequence[Sequence[Record]]
    annotations: Sequence[Record]
    view_count: int
    metadata: Metadata


def draw_method(example: Example, section: pd.DataFrame, path: Path) -> None:
    """Write the picture as PNG; `section` of a table has the student and what it gains over."""
    figure = Figure(figsize=(13, 3), dpi=_DPI, layout=ConstrainedLayoutEngine(wspace=0.1))
    *axes, last = figure.subplots(1, 4)
    panels = {
        "an image without labels": _resized(example.image),
        f"the teacher sees {example.view_count} views": _views(example),
        "one annotation from all": _annotated(example),
    }
    for axis, (title, pixels) in zip(axes, panels.items(), strict=True):
        axis.imshow(pixels, interpolation="antialiased")
        axis.set_axis_off()
        axis.set_title(title, fontsize=14, color=_INK, pad=9)
        axis.annotate(
            "", (1.11, 0.5), (1.015, 0.5), xycoords="axes fraction", annotation_clip=False,
            arrowprops={"arrowstyle": "-|>", "color": _GREY, "lw": 2, "mutation_scale": 20},
        )  # fmt: skip
    _draw_gain(last, section)
    last.set_box_aspect(example.image.shape[0] / example.image.shape[1])
    with atomic(path) as partial, partial.open("wb") as file:
        # the file does not name matplotlib's version
        FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})


def _annotated(example: Example) -> Image:
    scale = _WIDE / example.image.shape[1]
    unscored = [{k: v for k, v in each.items() if k != "score"} for each in example.annotations]
    return draw_annotations(_resized(example.image), unscored, example.metadata, scale)


def _resized(image: Image, scale: float | None = None) -> Image:
    """Return the image times `scale`, or as wide as a panel."""
    scale = scale or _WIDE / image.shape[1]
    size = round(scale * image.shape[1]), round(scale * image.shape[0])
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _views(example: Example) -> Image:
    """Return the views, each with its keypoints, in their sizes to each other on white."""
    height, half = round(_WIDE * example.image.shape[0] / example.image.shape[1]), _WIDE // 2
    rows = len(example.views) // 2
    tall = sum(view.shape[0] for view in example.views[:rows])
    widest = max(view.shape[1] for view in example.views)
    scale = min((half - _GAP) / widest, (height - _GAP * (rows - 1)) / tall)
    sheet, top = np.full((height, _WIDE, 3), 255, np.uint8), 0
    for row in range(rows):
        for column, index in enumerate((row, row + rows)):
            small = _resized(example.views[index], scale)
            boxless = [each | {"bbox": [-9.0, -9.0, 0.0, 0.0]} for each in example.by_view[index]]
            shown = draw_annotations(small, boxless, example.metadata, scale)
            left = half - _GAP // 2 - small.shape[1] if column == 0 else half + _GAP // 2
            sheet[top : top + small.shape[0], left : left + small.shape[1]] = shown
        top += small.shape[0] + _GAP
    return sheet


def _draw_gain(axis: Axes, section: pd.DataFrame) -> None:
    lines = {line["role"]: line for line in section.to_dict("records")}
    for y, role in enumerate(_TRAININGS):
        line, (colour, marker) = lines[role], STYLES[role]
        axis.plot([line["ap_low"], line["ap_high"]], [-y, -y], color=colour, lw=2.5)
        axis.plot(line["ap"], -y, marker, color=colour, markersize=12)
        axis.annotate(
            f"{line['ap']:.1f}", (line["ap"], -y), (0, 13), ha="center",
            textcoords="offset points", fontsize=14, color=colour,
        )  # fmt: skip
    student = lines["distilled"]
    ends = student["gain_low"], student["gain_high"]
    gain = f"student {student['gain']:+z.1f} AP [{ends[0]:z.1f}, {ends[1]:z.1f}]"
    axis.set_title(gain, fontsize=13, color=_INK, fontweight="bold", pad=9)
    axis.set_ylim(-1.6, 0.7)
    axis.set_yticks([0, -1], [*_TRAININGS.values()], fontsize=13)
    axis.margins(x=0.12)
    axis.set_xlabel("AP, 95 % intervals", fontsize=12, color=_GREY)
    axis.tick_params(axis="x", labelsize=12, colors=_GREY)
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "left", "right"]].set_visible(False)
