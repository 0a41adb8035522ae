"""Memory of annotating, and time of selecting again, for many images.

Each size is the whole stage `annotate` in a process of its own, on real image files of which many
are links to the same few. A stand-in for the teacher's inference finds four people in every image;
all else is what a user runs: reading, shards, evidence, annotations, drift card. After it the same
process chooses again by every rule. The last line is how much the peak memory grows from the
smallest to the largest size.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch

from datastill.coco.format import Coco, Record, write_coco
from datastill.distill import candidates as candidates_module
from datastill.images.manifest import examine
from datastill.inference.agreement import Evidence, Prediction
from datastill.instances import Instances
from datastill.model.checkpoint import save_weights
from datastill.model.detector import build_detector
from datastill.project.loading import load_params
from datastill.project.profile import Profile
from datastill.sources.synthetic_sets import DrawnSet, RenderSettings, draw_set
from datastill.stages import annotate

ROW = "co-35_co-80"
FILES = 50  # that differ
PEOPLE = 4  # whom the teacher finds in an image; 2.5 to 5.9 in the miniature
RULES = {
    "as the paper matches": {},
    "match_by_type": {"keypoints": "match_by_type"},
    "agreement": {"keypoints": "agreement", "min_views": 9},
    "fixed, all kept": {
        "instances": "fixed",
        "min_score": 0.0,
        "keypoints": "fixed",
        "min_probability": 0.0,
    },
}


class Stub:
    """Predicts random people in every image."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def run_views(
        self, detector: object, pixels: list[torch.Tensor], inference: object
    ) -> list[Prediction]:
        """Return PEOPLE instances with 17 keypoints for each of `pixels`."""
        return [self._prediction() for _ in pixels]

    def _prediction(self) -> Prediction:
        corners, sides = torch.from_numpy(self._rng.uniform(0, 100, (2, PEOPLE, 2)))
        points = torch.from_numpy(self._rng.uniform(0, 1, (PEOPLE, 17, 3)))
        points[..., :2] = points[..., :2] * sides[:, None] + corners[:, None]
        scores = torch.from_numpy(self._rng.uniform(0.05, 1, PEOPLE))
        agreeing = torch.from_numpy(self._rng.integers(0, 19, (PEOPLE, 17))).to(torch.int16)
        ones, nothing = torch.ones(PEOPLE, dtype=torch.int16), torch.zeros(PEOPLE)
        boxes = torch.hstack([corners, corners + sides])
        return Prediction(
            Instances(boxes, scores, ones.long(), points),
            Evidence(torch.zeros(PEOPLE, 17), agreeing, ones, nothing),
        )


def prepare(profile: Profile, images: int) -> None:
    """Write a labelled set, val, an unlabelled set of so many images, and a teacher."""
    settings = RenderSettings(profile.images, (320, 240))
    drawn, val = (
        draw_set(DrawnSet(number, name, FILES, "everyday", name, 0), settings, lambda _: None)
        for number, name in enumerate(("few", "val"))
    )
    lines, _ = examine(profile.images, [*drawn.images, *val.images], lambda _: None)
    (profile.images / "many").mkdir()
    many: list[Record] = []
    for number in range(images):
        like = drawn.images[number % FILES]
        name = f"many/{number:06}.jpg"
        os.link(profile.images / like["file_name"], profile.images / name)
        many.append({**like, "id": 2_000_000 + number, "file_name": name})
    repeated = lines.iloc[np.arange(images) % FILES].assign(
        file_name=[i["file_name"] for i in many]
    )
    profile.manifest.parent.mkdir(parents=True)
    pd.concat([lines, repeated]).to_csv(profile.manifest, index=False)
    write_coco(profile.image_set("co-35"), drawn)
    write_coco(profile.image_set("val"), val)
    write_coco(profile.image_set("co-80"), Coco(many, [], drawn.categories))
    names = drawn.keypoint_names()
    person = [{"id": 1, "name": "person"}]
    card = {"backbone": "small", "start": "random", "keypoints": names, "categories": person}
    save_weights(profile.weights("co-35"), build_detector("small", len(names)), card)


def measure(images: int, params: Path) -> dict[str, float]:
    """Annotate so many images in the present folder; return peak memory and seconds."""
    profile = Profile(load_params(params))
    preparing = multiprocessing.get_context("spawn").Process(target=prepare, args=(profile, images))
    preparing.start()
    preparing.join()
    if preparing.exitcode:
        raise SystemExit(f"the sets were not made: exit {preparing.exitcode}")
    with patch.object(candidates_module, "run_views", Stub().run_views):
        found = {"annotate": seconds(profile), "peak": peak()}
    for name, changes in RULES.items():
        select = profile.params.select.model_copy(update=changes)
        found[name] = seconds(Profile(profile.params.model_copy(update={"select": select})))
    return found


def seconds(profile: Profile) -> float:
    """Return how long the stage takes."""
    start = time.perf_counter()
    annotate.run(profile, ROW)
    return time.perf_counter() - start


def peak() -> float:
    """Return the most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure every size in a process of its own and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--here", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args()
    params = arguments.params.absolute()
    if arguments.here:
        print(json.dumps(measure(arguments.here, params)))
        return
    peaks = []
    for images in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--here", str(images), "--params", str(params)]
            environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}  # as cli/application.py sets it
            answer = subprocess.run(
                command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE
            )
        found = json.loads(answer.stdout.splitlines()[-1])
        peaks.append(found["peak"])
        print(
            f"{images:,} images, {PEOPLE * images:,} candidates: {found['annotate']:.1f} s, "
            f"peak {found['peak']:.0f} MB"
        )
        for rule in RULES:
            print(f"  choosing again, {rule}: {found[rule]:.2f} s")
    print(f"growth: {peaks[-1] / peaks[0] - 1:+.1%}")


if __name__ == "__main__":
    main()
