"""Speed of 18 views of an image against 18 full passes of the detector.

The peer is the loop one would write first: every view of every image through torchvision's whole
forward pass, the heatmaps at the plain pass's boxes taken from the same features, and the same
averaging, in fp32. Ours has the precision that `auto` means on this device. Both sides have the
same weights and images and take turns; how far their keypoints are apart at the same boxes is
printed, for fp32 and for that precision. Untrained weights have no clear peaks, so what a lower
precision costs is seen with trained ones alone (--weights). The last line is the ratio of their
median times.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from datastill.coco.format import PERSON_KEYPOINTS
from datastill.coco.skeleton import infer_flip_indices
from datastill.images.geometry import unit_interval
from datastill.inference.heatmaps import decode, probabilities
from datastill.inference.multi_transform import mean_heatmaps, predict
from datastill.inference.views import Inference, View, all_views
from datastill.model.checkpoint import load_into
from datastill.model.detector import Detector, build_detector
from datastill.model.fuse_bn import fuse
from datastill.model.precision import resolve_precision
from datastill.synthetic.keypoint_scenes import draw_people

SHORT_SIDES = {"small": 128, "mobilenet_v2": 192, "resnet50": 800}  # of the single-scale pass
Placed = tuple[Tensor, Tensor]  # boxes (n, 4), keypoints (n, k, 3)
SIZES = {"small": (320, 240), "mobilenet_v2": (640, 480), "resnet50": (640, 480)}


def paper_views(side: int) -> Inference:
    """Return the paper's 18 views, from half to one and a half of `side`."""
    views = all_views([side * step // 8 for step in range(4, 13)], 4 * side, flip=True)
    return Inference(View(side, 4 * side), views, infer_flip_indices(PERSON_KEYPOINTS))


@torch.inference_mode()
def naive(detector: Detector, images: list[Tensor], inference: Inference) -> list[Placed]:
    """Return boxes and keypoints of every image, one full forward pass per view."""
    seen: dict[str, object] = {}
    hook = detector.rcnn.backbone.register_forward_hook(
        lambda module, inputs, output: seen.update(features=output)
    )

    def full_pass(pixels: Tensor) -> dict[str, Tensor]:
        detector.rcnn.transform.min_size = (min(pixels.shape[1:]),)  # or it would resize the view
        detector.rcnn.transform.max_size = max(pixels.shape[1:])
        return detector.rcnn([pixels])[0]

    results = []
    for image in images:
        plain = unit_interval(inference.single_scale.apply(image))
        boxes = inference.single_scale.boxes_back(full_pass(plain)["boxes"], image)
        total = torch.zeros(())
        for view in inference.views:
            pixels = unit_interval(view.apply(image))
            full_pass(pixels)
            batch, _ = detector.rcnn.transform([pixels])
            (logits,) = detector.heatmaps(batch, seen["features"], [view.boxes(boxes, image)])
            total = total + view.heatmaps_back(probabilities(logits), inference.flip_indices)
        results.append((boxes, decode(total / len(inference.views), boxes)))
    hook.remove()
    return results


def apart(detector: Detector, image: Tensor, placed: Placed, inference: Inference) -> Tensor:
    """Return how many pixels our keypoints at the peer's boxes are from the peer's, (n * k,)."""
    boxes, keypoints = placed
    heatmaps, _ = mean_heatmaps(detector, image, boxes, inference)
    ours = decode(heatmaps.to(boxes), boxes)
    return (ours - keypoints)[..., :2].norm(dim=-1).ravel()


def main() -> None:
    """Time both sides in turns and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds: small in 45 s, on 2 cores"
    )
    parser.add_argument("--backbone", choices=list(SHORT_SIDES), default="small")
    parser.add_argument("--weights", type=Path, help="of a trained row of that backbone")
    arguments = parser.parse_args()
    detector, folded = detectors(arguments.backbone, arguments.weights)
    exact = paper_views(SHORT_SIDES[arguments.backbone])
    ours = replace(exact, precision=resolve_precision("auto"))
    count, rounds = (1, 1) if arguments.backbone == "resnet50" else (8, 3)
    rounds = rounds if arguments.quick else 3 * rounds
    images = drawn(count, SIZES[arguments.backbone])
    seconds: dict[str, list[float]] = {"ours": [], "naive": []}
    predict(folded, images[:1], ours)  # warms up
    for _ in range(rounds):
        times = [time.perf_counter()]
        predict(folded, images, ours)
        times.append(time.perf_counter())
        theirs = naive(detector, images, exact)
        seconds["naive"].append(time.perf_counter() - times[1])
        seconds["ours"].append(times[1] - times[0])
    kind = "trained" if arguments.weights else "untrained"
    threads = torch.get_num_threads()
    print(f"{kind} {arguments.backbone}, {count} images, 18 views, {threads} threads")
    for inference in dict.fromkeys((exact, ours)):
        pairs = zip(images, theirs, strict=True)
        off = torch.cat([apart(folded, image, placed, inference) for image, placed in pairs])
        share = float((off <= 0.5).float().mean())
        print(f"{inference.precision}: {share:.1%} of keypoints within 0.5 px of the peer's")
    median = {name: statistics.median(several) / count for name, several in seconds.items()}
    print(
        f"seconds per image: ours, {ours.precision}, {median['ours']:.3f}; naive, fp32, "
        f"{median['naive']:.3f}"
    )
    print(f"ratio: {median['naive'] / median['ours']:.2f}")


def drawn(count: int, size: tuple[int, int]) -> list[Tensor]:
    """Return so many images (3, h, w) of everyday people."""
    drawings = [draw_people("benchmark", i, 0, "everyday", size) for i in range(count)]
    return [torch.from_numpy(d.image).permute(2, 0, 1).contiguous() for d in drawings]


def detectors(backbone: str, weights: Path | None) -> tuple[Detector, Detector]:
    """Return the peer's detector and ours: the same weights, ours as a trained one is loaded."""
    torch.manual_seed(0)
    detector = build_detector(backbone, len(PERSON_KEYPOINTS)).eval()
    if weights:
        load_into(detector, weights)
    else:
        for parameter in detector.rcnn.roi_heads.keypoint_predictor.parameters():
            parameter.data *= 1000  # untrained heatmaps are flat; steeper ones have a peak
    return detector, fuse(copy.deepcopy(detector))


if __name__ == "__main__":
    main()
