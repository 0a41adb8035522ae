"""What `check` lets pass and what it does not: another seed, and a broken flip."""

import numpy as np
import pytest
import torch
from measured_seeds import accepted, change, claim, put

from datastill.coco.format import PERSON, PERSON_KEYPOINTS, Coco
from datastill.coco.skeleton import infer_flip_indices
from datastill.commands import check
from datastill.evaluation.coco_ap import evaluate
from datastill.inference.heatmaps import decode, probabilities
from datastill.inference.views import View
from datastill.project.profile import open_profile


def checked():
    return check.run(open_profile("miniature"))


@pytest.mark.parametrize("seed", [1, 2])
def test_what_one_seed_gave_another_seed_passes(clone, seed):
    claim("co-35 < co-35_co-80 < co-115 < co-115_un-120", "co-115 < co-115_s1m-180")
    accepted()
    put(seed)
    text, ok = checked()
    assert ok, text


def people(count, rng):
    """So many images with one person each, all keypoints visible."""
    boxes = np.column_stack([rng.uniform(5, 60, (count, 2)), rng.uniform(80, 120, (count, 2))])
    points = boxes[:, None, :2] + rng.uniform(0.1, 0.9, (count, 17, 2)) * boxes[:, None, 2:]
    annotations = [
        {
            "id": i + 1, "image_id": i, "category_id": 1, "iscrowd": 0, "num_keypoints": 17,
            "bbox": box.tolist(), "area": float(box[2] * box[3]) / 2,
            "keypoints": np.column_stack([p, np.full(17, 2)]).ravel().tolist(),
        }
        for i, (box, p) in enumerate(zip(boxes, points, strict=True))
    ]  # fmt: skip
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 200} for i in range(count)]
    return Coco(images, annotations, [PERSON])


def seen(points, mirrored, rng):
    """The heatmaps (17, 28, 28) of a network that sees well: of a mirror, what is in the mirror."""
    partners = infer_flip_indices(PERSON_KEYPOINTS)
    at = points + rng.normal(0, 1.2, points.shape)
    if mirrored:
        at = np.column_stack([28 - at[:, 0], at[:, 1]])[list(partners)]
    columns, rows = np.meshgrid(np.arange(28) + 0.5, np.arange(28) + 0.5)
    squares = (columns - at[:, :1, None]) ** 2 + (rows - at[:, 1:, None]) ** 2
    return torch.tensor(-squares / 4, dtype=torch.float32)


def ap_with(flip_indices, seed):
    """The AP of that network's upright and mirrored view, put together by the code under test."""
    truth, rng, results = people(60, np.random.default_rng(0)), np.random.default_rng(seed), []
    for annotation in truth.annotations:
        x, y, width, height = annotation["bbox"]
        box = torch.tensor([[x, y, x + width, y + height]], dtype=torch.float32)
        points = np.array(annotation["keypoints"]).reshape(17, 3)[:, :2]
        points = (points - [x, y]) / [width, height] * 28
        mean = sum(
            View(64, 100, flip).heatmaps_back(
                probabilities(seen(points, flip, rng)[None]), flip_indices
            )
            for flip in (False, True)
        )
        found = decode(mean / 2, box)[0]
        results.append(
            {
                "image_id": annotation["image_id"], "category_id": 1, "score": float(rng.random()),
                "keypoints": found.flatten().tolist(),
            }
        )  # fmt: skip
    return evaluate(truth, results, "keypoints").ap


def test_a_broken_swap_of_left_and_right_fails_by_the_rows_it_reaches_and_another_seed_does_not(
    clone,
):
    partners = infer_flip_indices(PERSON_KEYPOINTS)
    change("co-115_un-120", ap=ap_with(partners, seed=0))
    accepted()
    change("co-115_un-120", ap=ap_with(partners, seed=1))
    assert checked()[1]
    change("co-115_un-120", ap=ap_with(tuple(range(17)), seed=1))
    text, ok = checked()
    assert not ok
    assert [line.split(":")[0] for line in text.splitlines() if "FAIL" in line] == [
        "FAIL co-115_un-120 ap"
    ]
