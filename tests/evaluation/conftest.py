"""Scenes to score, and pycocotools called directly as the independent judge of them."""

import io
from contextlib import redirect_stdout
from copy import deepcopy

import numpy as np
import pytest
from coco_content import person_record
from places import REAL
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from datastill.coco.format import PERSON, Coco

NAMES = {
    "keypoints": ("ap", "ap50", "ap75", "ap_medium", "ap_large"),
    "boxes": ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
}


def ask_pycocotools(truth, detections, task):
    """Metrics in percent by pycocotools' own `summarize`, -1 where undefined."""
    index = COCO()
    index.dataset = deepcopy(
        {"images": truth.images, "annotations": truth.annotations, "categories": truth.categories}
    )
    with redirect_stdout(io.StringIO()):
        index.createIndex()
        kind = "keypoints" if task == "keypoints" else "bbox"
        evaluation = COCOeval(index, index.loadRes(deepcopy(detections)), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    stats = [100 * s if s > -1 else None for s in evaluation.stats]
    return dict(zip(NAMES[task], stats, strict=False))


def draw_box(rng):
    width, height = np.exp(rng.uniform(np.log(12), np.log(250), 2))
    return [*rng.uniform(0, 300, 2), width, height]


def draw_annotation(rng, image_id, number, categories):
    box = draw_box(rng)
    visible = rng.choice([0, 1, 2], 17, p=[0.2, 0.3, 0.5]) * (rng.random() > 0.1)
    points = rng.random((17, 2)) * box[2:] + box[:2]
    points[visible == 0] = 0
    return {
        "id": number,
        "image_id": image_id,
        "category_id": int(rng.choice(categories)),
        "bbox": [float(x) for x in box],
        "area": float(box[2] * box[3] * 0.7),
        "iscrowd": int(rng.random() < 0.1),
        "keypoints": np.column_stack([points, visible]).ravel().tolist(),
        "num_keypoints": int((visible > 0).sum()),
    }


def draw_detection(rng, annotation, scale):
    """A detection near `annotation`; scale 0 is exact."""
    box = np.array(annotation["bbox"])
    points = np.array(annotation["keypoints"], dtype=float).reshape(-1, 3)
    side = np.sqrt(box[2] * box[3])
    points[:, :2] += rng.normal(0, scale * side, (len(points), 2))
    shifted = box + rng.normal(0, 1, 4) * scale * side
    return {
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "bbox": np.maximum(shifted, [-1e9, -1e9, 1, 1]).tolist(),
        "keypoints": points.ravel().tolist(),
    }


def draw_scene(seed, images=30, ties=True, crowd_of=35):
    """Truth and detections: ties, crowds, empty images, an overfull one, an unused category."""
    rng = np.random.default_rng(seed)
    ids = sorted(rng.choice(1000, images, replace=False).tolist())
    annotations, detections = [], []
    for image_id in ids:
        for _ in range(rng.poisson(2) * int(rng.random() > 0.2)):
            annotations.append(draw_annotation(rng, image_id, len(annotations) + 1, [1, 7]))
    for annotation in annotations:
        for _ in range(rng.poisson(1.2)):
            detections.append(draw_detection(rng, annotation, rng.choice([0, 0.02, 0.05, 0.3])))
    for image_id in [*rng.choice(ids, images), *[ids[3]] * crowd_of]:
        stray = draw_annotation(rng, int(image_id), 0, [1, 7, 9])
        detections.append(draw_detection(rng, stray, 0))
    order = rng.permutation(len(detections))
    detections = [detections[i] for i in order]
    # an image's scores differ from each other unless `ties`, those of different images need not
    steps = {image_id: iter(rng.permutation(200) / 200) for image_id in ids}
    for detection in detections:
        own = float(next(steps[detection["image_id"]]))
        detection["score"] = round(own, 1) if ties else own
    categories = [PERSON, {**PERSON, "id": 7, "name": "other"}, {**PERSON, "id": 9, "name": "none"}]
    listed = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in ids]
    return Coco(listed, annotations, categories), detections


@pytest.fixture
def pycocotools():
    return ask_pycocotools


@pytest.fixture
def scene():
    return draw_scene


@pytest.fixture
def person():
    """One annotated person at the left edge of image `image_id`, 100 x 100 pixels."""

    def build(image_id=1, x=10.0, number=1, **changes):
        rng = np.random.default_rng(0)
        points = np.column_stack([rng.random((17, 2)) * 100 + [x, 10], np.full(17, 2)])
        return person_record(image_id, number, [x, 10.0, 100.0, 100.0], 5000.0, points) | changes

    return build


@pytest.fixture
def coco():
    """COCO content of `images` images, 1 to n, with `annotations`."""

    def build(images, annotations):
        listed = [
            {"id": i + 1, "file_name": f"{i}.jpg", "width": 640, "height": 480}
            for i in range(images)
        ]
        return Coco(listed, annotations, [PERSON])

    return build


@pytest.fixture
def val2017():
    root = REAL
    path = root / "coco" / "annotations" / "person_keypoints_val2017.json"
    if not path.exists():
        pytest.skip(f"needs COCO val2017 annotations: {path} is absent")
    return path


@pytest.fixture
def detect():
    return draw_detection
