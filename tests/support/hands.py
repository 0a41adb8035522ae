"""A project of one's own, from files: hands of five keypoints, drawn here, through all stages."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from places import ROOT

WIDTH, HEIGHT = 160, 120
TIPS = {"thumb": (-70, 0.75), "index": (-25, 1.0), "ring": (10, 1.05), "little": (35, 0.85)}
HAND = {
    "id": 3,
    "name": "hand",
    "keypoints": ["wrist", *TIPS],
    "skeleton": [[1, 2], [1, 3], [1, 4], [1, 5]],
}
PEN = {"id": 9, "name": "pen"}  # of no concern to a model of hands
COUNTS = {"labelled": 24, "unlabelled": 16, "val": 12}
ROWS = ("teacher", "student")


def draw_hand(image, rng):
    """Draw a hand somewhere; return its wrist and fingertips (5, 2)."""
    size = rng.uniform(26, 36)
    wrist = np.array([rng.uniform(45, WIDTH - 45), rng.uniform(85, HEIGHT - 8)])
    turn = rng.uniform(-20, 20)
    skin = tuple(int(x) for x in rng.uniform((60, 100, 170), (130, 170, 250)))
    palm = wrist + size * np.array([np.sin(np.radians(turn)), -np.cos(np.radians(turn))])
    points = [wrist]
    for angle, length in TIPS.values():
        way = np.radians(angle + turn)
        tip = palm + 1.1 * size * length * np.array([np.sin(way), -np.cos(way)])
        cv2.line(image, palm.astype(int).tolist(), tip.astype(int).tolist(), skin, 6, cv2.LINE_AA)
        points.append(tip)
    cv2.circle(image, palm.astype(int).tolist(), int(0.55 * size), skin, cv2.FILLED, cv2.LINE_AA)
    cv2.line(image, palm.astype(int).tolist(), wrist.astype(int).tolist(), skin, 14, cv2.LINE_AA)
    return np.array(points)


def annotation(number, image_id, points):
    low, high = points.min(0) - 6, points.max(0) + 6
    return {
        "id": number,
        "image_id": image_id,
        "category_id": HAND["id"],
        "bbox": [float(x) for x in (*low, *(high - low))],
        "keypoints": np.column_stack([points, np.full(5, 2)]).ravel().tolist(),
    }


def draw_set(root, name, count, first):
    """Write `count` pictures and, but for the unlabelled ones, their COCO JSON."""
    (root / name).mkdir(parents=True)
    images, annotations = [], []
    for image_id in range(first, first + count):
        rng = np.random.default_rng(image_id)
        coarse = rng.integers(0, 120, (5, 7, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        points = draw_hand(picture, rng)
        file_name = f"{image_id:03d}.jpg"
        cv2.imwrite(str(root / name / file_name), picture)
        images.append({"id": image_id, "file_name": file_name, "width": WIDTH, "height": HEIGHT})
        annotations.append(annotation(image_id, image_id, points))
    content = {"images": images, "annotations": annotations, "categories": [PEN, HAND]}
    if name != "unlabelled":
        (root / f"{name}.json").write_text(json.dumps(content))


def own_params():
    """Return the miniature's params with files for data and a handful of iterations."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    annotated = {
        name: {"annotations": f"{name}.json", "without": [], "images": [name], "count": None}
        for name in ("labelled", "val")
    }
    raw["data"] = {
        "source": "files",
        "watched": "hands",
        "root": "hands",
        "leaks": "refuse",
        "sets": {
            "labelled": annotated["labelled"],
            "unlabelled": {"folder": "unlabelled", "without": [], "count": None},
        },
        "val": annotated["val"],
    }
    row = {"labelled": "labelled", "backbone": "small", "iterations": 80, "seed": 0}
    raw |= {
        "scale": {"images": 1, "iterations": 1},
        "initial": None,
        "supervised": {"teacher": row},
    }
    raw["distilled"] = {"student": {**row, "unlabelled": "unlabelled", "teacher": "teacher"}}
    raw["train"] |= {"batch": 4, "micro_batch_size": 4, "warmup": 10, "base_lr": 0.05}
    raw["views"]["short_sides"] = [96, 128]
    raw["evaluate"] |= {"resamples": 50, "with_views": ["teacher"]}
    return raw


@pytest.fixture
def write_hands():
    """Write pictures of hands and their COCO JSON: root, name, how many, the first id."""
    return draw_set


@pytest.fixture(scope="session")
def hands(tmp_path_factory):
    """The root of a project in which all stages have run; tests may add to it, not break it."""
    from datastill.project.loading import load_params
    from datastill.project.profile import Profile
    from datastill.stages import annotate, data, evaluate, tables, train

    root = tmp_path_factory.mktemp("hands")
    first = 1
    for name, count in COUNTS.items():
        draw_set(root / "hands", name, count, first)
        first += count
    (root / "params.yaml").write_text(yaml.safe_dump(own_params(), sort_keys=False))
    before = Path.cwd()
    os.chdir(root)
    try:
        profile = Profile(load_params(Path("params.yaml")))
        data.run(profile)
        train.run(profile, "teacher")
        annotate.run(profile, "student")
        train.run(profile, "student")
        for row in ROWS:
            evaluate.run(profile, row)
        tables.run(profile)
    finally:
        os.chdir(before)
    return root


@pytest.fixture
def profile(hands, monkeypatch):
    """The place of the hands, with their project as the working folder."""
    from datastill.project.loading import load_params
    from datastill.project.profile import Profile

    monkeypatch.chdir(hands)
    return Profile(load_params(Path("params.yaml")))
