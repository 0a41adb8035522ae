"""Speed and agreement of the paper's detector, a ResNet-50 at 800 pixels, on this machine.

    uv run python benchmarks/gpu.py > gpu.json

prints JSON: training against the measured peak of bf16 matrix products, 18 views against the loop
that one would write first (benchmarks/annotate.py), how right `datastill plan` was, agreement with
fp32 on the CPU, and, with two GPUs, the losses of one and of two processes. Without a GPU
everything runs on the CPU; --quick uses short sides of 160 pixels.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import annotate
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.flop_counter import FlopCounterMode

from datastill.coco.format import PERSON_KEYPOINTS
from datastill.commands.estimate import Costs
from datastill.inference.multi_transform import predict
from datastill.model.detector import Batch, build_detector
from datastill.model.precision import best_device, gpu_name, resolve_precision
from datastill.project.profile import open_profile
from datastill.scheduler.benchmark import Load, Speed, probe
from datastill.synthetic.keypoint_scenes import draw_people
from datastill.training.dataset import Example, as_target
from datastill.training.distributed import launch
from datastill.training.loop import Settings, train
from datastill.training.schedule import Schedule

BACKBONE, SHORT_SIDE, QUICK_SIDE = "resnet50", 800, 160
BATCH, STEPS, WARMUP = 16 if torch.cuda.is_available() else 2, 6, 2
LOSSES = 8  # steps of one and of two processes
DEVICE = best_device()


class Drawn(Dataset[list[Example]]):
    """The same drawn people in every minibatch, of which this process takes its part."""

    def __init__(self, count: int, short_side: int, part: slice = slice(None)) -> None:
        size = (short_side * 4 // 3, short_side)
        drawings = [draw_people("benchmark", i, 0, "everyday", size) for i in range(count)]
        self._examples = [
            Example(
                number, 0, torch.from_numpy(drawing.image).permute(2, 0, 1).contiguous(),
                as_target(drawing.annotations, len(PERSON_KEYPOINTS)),
            )
            for number, drawing in enumerate(drawings)
        ][part]  # fmt: skip

    def __getitem__(self, iteration: int) -> list[Example]:
        return self._examples


def main() -> None:
    """Measure all of it and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short sides of 160 pixels")
    parser.add_argument("--weights", type=Path, help="of a trained row of resnet50")
    parser.add_argument("--losses", type=Path, help=argparse.SUPPRESS)  # of a process of two
    options = parser.parse_args()
    side = QUICK_SIDE if options.quick else SHORT_SIDE
    if options.losses:
        losses_here(options.losses)
        return
    speed = probe(BACKBONE, load(side), "auto", "auto")
    facts = {
        "machine": gpu_name() or f"a CPU with {torch.get_num_threads()} threads",
        "precision": resolve_precision("auto"),
        "torch": torch.__version__,
        "short_side": side,
        "training": training(side, speed),
        "annotation": annotation(side, options.weights, speed),
        "agreement": agreement(side, options.weights),
        "processes": processes(),
    }
    print(json.dumps(facts, indent=2))


def load(side: int) -> Load:
    """Return the load of a training pass that `plan` would probe, at that short side."""
    size = (side, side * 4 // 3)
    return Load(BATCH, size, size, len(PERSON_KEYPOINTS), 1)


def peak() -> float:
    """Return the FLOP/s of large bf16 matrix products."""
    side = 8192 if DEVICE.type == "cuda" else 1024
    left, right = (torch.rand(side, side, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(10):
        began = now()
        left @ right
        seconds.append(now() - began)
    return 2 * side**3 / min(seconds)


def now() -> float:
    """Return the time when the device has done all of its work."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def training(side: int, speed: Speed) -> dict[str, Any]:
    """Return images per second of the trainer, and its share of the peak."""
    data = Drawn(BATCH, side)
    fabric = Fabric(devices=1, precision=resolve_precision("auto"))
    seconds = statistics.median(step_seconds(fabric, data)[WARMUP:])
    measured = peak()
    flops = step_flops(data)
    return {
        "images_per_second": round(BATCH / seconds, 2),
        "teraflops_per_step": round(flops / 1e12, 3),
        "share_of_bf16_peak": round(flops / seconds / measured, 3),
        "bf16_peak_teraflops": round(measured / 1e12, 2),
        "seconds_of_plan": round(speed.train_pass, 4),
        "seconds": round(seconds, 4),
    }


def step_seconds(fabric: Fabric, data: Drawn) -> list[float]:
    """Return the seconds of each step of the trainer."""
    times = [now()]
    run_steps(fabric, data, STEPS, lambda *_: times.append(now()))
    return [after - before for before, after in pairwise(times)]


def run_steps(fabric: Fabric, data: Drawn, steps: int, advance: Any) -> None:
    """Train fresh weights on `data` for so many steps."""
    torch.manual_seed(0)
    passes = len(data[0])
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            Schedule(steps, 0.001, 1), Path(folder), "", 0, passes, 0.9, 1e-4, steps + 1, 1, 0
        )
        train(fabric, build_detector(BACKBONE, len(PERSON_KEYPOINTS)), data, settings, advance)


def step_flops(data: Drawn) -> int:
    """Return the floating-point operations of a training step's convolutions and products."""
    examples = data[0]
    detector = build_detector(BACKBONE, len(PERSON_KEYPOINTS)).to(DEVICE).train()
    targets = [{k: v.to(DEVICE) for k, v in each.target.items()} for each in examples]
    batch = Batch([each.image.to(DEVICE) / 255 for each in examples], targets)
    with FlopCounterMode(display=False) as counter:
        sum(detector(batch).values()).backward()
    return int(counter.get_total_flops())


def annotation(side: int, weights: Path | None, speed: Speed) -> dict[str, Any]:
    """Return images per second of all views, of the naive loop, and what `plan` expected.

    `plan` knows the views of the profile `coco` alone, whose short side is SHORT_SIDE.
    """
    plain, folded = (each.to(DEVICE) for each in annotate.detectors(BACKBONE, weights))
    exact = replace(annotate.paper_views(side), pixels=BATCH * side * side * 4 // 3)
    ours = replace(exact, precision=resolve_precision("auto"))
    images = [each.to(DEVICE) for each in pictures(8 if DEVICE.type == "cuda" else 1, side)]
    seconds: dict[str, list[float]] = {"ours": [], "naive": []}
    predict(folded, images, ours)  # warms up
    for _ in range(3 if DEVICE.type == "cuda" else 1):
        times = [now()]
        predict(folded, images, ours)
        times.append(now())
        annotate.naive(plain, images, exact)
        seconds["ours"].append(times[1] - times[0])
        seconds["naive"].append(now() - times[1])
    measured = {name: len(images) / statistics.median(each) for name, each in seconds.items()}
    return {
        "images_per_second": round(measured["ours"], 3),
        "naive_fp32_images_per_second": round(measured["naive"], 3),
        "ratio": round(measured["ours"] / measured["naive"], 2),
        "images_per_second_of_plan": round(planned(speed), 3) if side == SHORT_SIDE else None,
    }


def pictures(count: int, side: int) -> list[Tensor]:
    """Return so many images (3, h, w) of everyday people."""
    return annotate.drawn(count, (side * 4 // 3, side))


def planned(speed: Speed) -> float:
    """Return the images per second of all views that `plan` expects from that speed."""
    profile = open_profile("coco")
    rows = profile.params.distilled.values()
    row = next(row for row in rows if row.backbone == BACKBONE)
    costs = Costs(profile, len(PERSON_KEYPOINTS), 20, {row.unlabelled: (0, 1)}, {BACKBONE: speed})
    return 1 / costs.annotating(row)


def agreement(side: int, weights: Path | None) -> dict[str, Any]:
    """Return how near this device's keypoints are to fp32 on the CPU, at the same boxes."""
    plain, folded = annotate.detectors(BACKBONE, weights)
    (image,) = pictures(1, side)
    exact = annotate.paper_views(side)
    placed = annotate.naive(plain, [image], exact)[0]
    ours = replace(exact, precision=resolve_precision("auto"))
    off = annotate.apart(copy.deepcopy(folded).to(DEVICE), image, placed, ours)
    return {
        "keypoints": len(off),
        "share_within_half_a_pixel": round(float((off <= 0.5).float().mean()), 4),
        "trained": weights is not None,
    }


def processes() -> dict[str, Any] | None:
    """Return the losses of one and of two processes, None on a machine with one GPU."""
    if DEVICE.type == "cuda" and torch.cuda.device_count() < 2:
        return None
    losses = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in (1, 2):
            path = Path(folder) / f"{count}.json"
            launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
            command = [sys.executable, *launcher, __file__, "--losses", str(path)]
            subprocess.run(command, check=True, stdout=sys.stderr)
            losses[count] = json.loads(path.read_text())
    apart = max(abs(a - b) / a for a, b in zip(losses[1], losses[2], strict=True))
    return {"one": losses[1], "two": losses[2], "largest_relative_difference": round(apart, 5)}


def losses_here(path: Path) -> None:
    """Train as one of the processes that torchrun started; the first writes the mean losses."""
    fabric = launch("32-true")
    share = 4 // fabric.world_size
    part = slice(fabric.global_rank * share, (fabric.global_rank + 1) * share)
    losses: list[float] = []
    run_steps(
        fabric, Drawn(4, QUICK_SIDE, part), LOSSES, lambda _, each: losses.append(each["loss"])
    )
    if fabric.is_global_zero:
        path.write_text(json.dumps([round(loss, 5) for loss in losses]))


if __name__ == "__main__":
    main()
