"""Command `readme --picture`: the method in one picture, from a finished run."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from datastill.coco.format import Record
from datastill.errors import DataError, ParamsError
from datastill.images.contact_sheet import Image
from datastill.images.load import load_image
from datastill.inference.multi_transform import mean_heatmaps
from datastill.inference.views import View
from datastill.page.evidence_reader import as_result, read_candidates
from datastill.page.method_figure import Example, draw_method
from datastill.project.profile import Profile
from datastill.project.row_models import (
    load_model,
    row_metadata,
    teacher_inference,
    unlabelled_subset,
)

PATH = Path("results/figure-method.png")
_EDGE = 4  # pixels between an object and the edge of its image
_SCALES = (0.25, 0.6, 1.0)  # of the views shown, from the smallest to the largest


def run(profile: Profile) -> Path:
    """Draw the first distilled row's setting; return the picture's path.

    The image is that of the surest annotation of those with most keypoints that are alone in an
    image and cut by no edge. Raises ParamsError for a task without keypoints or a profile without
    a distilled row, DataError if a stage has not run.
    """
    if profile.params.task != "keypoints" or not profile.params.distilled:
        raise ParamsError(f"{profile.params.params_file}: expected a distilled row of keypoints")
    row = next(iter(profile.params.distilled))
    path = profile.results / "table1.csv"
    if not path.is_file():
        raise DataError(f"{path}: no such file; run `datastill tables{profile.option}` first")
    table = pd.read_csv(path)
    draw_method(_example(profile, row), table[table["table"] == table["table"].iloc[0]], PATH)
    return PATH


def _example(profile: Profile, row: str) -> Example:
    images = {image["id"]: image for image in unlabelled_subset(profile, row).images}
    evidence = profile.require(profile.evidence(row), "annotate", row)
    accepted = [each for each in read_candidates(evidence, images) if each["accepted"]]
    objects = Counter(each["image_id"] for each in accepted)
    fewest = [each for each in accepted if objects[each["image_id"]] == min(objects.values())]
    surest = max(fewest, key=lambda each: _clarity(each, images[each["image_id"]]))
    record = images[surest["image_id"]]
    annotations = [as_result(each) for each in accepted if each["image_id"] == record["id"]]
    metadata, image = row_metadata(profile, row), load_image(profile.images, record)
    inference = teacher_inference(profile, row, metadata)
    boxes = torch.tensor([each["bbox"] for each in annotations])
    boxes[:, 2:] += boxes[:, :2]
    detector = load_model(profile, profile.params.distilled[row].teacher, metadata)
    _, peaks = mean_heatmaps(detector, image, boxes, inference)
    shown = _shown(inference.views)
    return Example(
        image=_pixels(image),
        views=[_pixels(inference.views[index].apply(image)) for index in shown],
        by_view=[[*_in_view(inference.views[i], peaks[i], image)] for i in shown],
        annotations=annotations,
        view_count=len(inference.views),
        metadata=metadata,
    )


def _clarity(candidate: Record, image: Record) -> tuple[bool, int, float]:
    """Return whether an object is wholly inside its image, its marked keypoints and score."""
    x, y, width, height = candidate["bbox"]
    ends = x, y, image["width"] - x - width, image["height"] - y - height
    marked = np.reshape(candidate["keypoints"], (-1, 3))[:, 2] > 0
    return min(ends) > _EDGE, int(marked.sum()), candidate["score"]


def _shown(views: Sequence[View]) -> list[int]:
    """Return the indices of the views of three scales, upright ones first."""
    sides = sorted({view.short_side for view in views})
    chosen = [sides[round(share * (len(sides) - 1))] for share in _SCALES]
    flips = sorted({view.flip for view in views})
    return [
        next(i for i, v in enumerate(views) if (v.short_side, v.flip, v.turns) == (side, flip, 0))
        for flip in flips
        for side in chosen
    ]


def _pixels(image: Tensor) -> Image:
    return np.asarray(image.permute(1, 2, 0).contiguous().numpy(), np.uint8)


def _in_view(view: View, peaks: Tensor, image: Tensor) -> Any:
    """Yield the keypoints (n, k, 2) of an image as annotations of a view of it."""
    for points in peaks:
        moved = view.boxes(torch.cat([points, points], dim=1), image)[:, :2]
        visible = torch.cat([moved, torch.full((len(moved), 1), 2.0)], dim=1)
        yield {"keypoints": visible.flatten().tolist()}
