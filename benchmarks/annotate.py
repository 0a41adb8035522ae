"""How much faster are 18 views of an image than 18 full passes of the detector?

The peer is the loop one would write first: every view of every image through torchvision's whole
forward pass, the heatmaps at the plain pass's boxes taken from the same features, and the same
averaging. Both sides have the same weights and images, take turns and must agree; the last line is
the ratio of their median times.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time

import numpy as np
import torch
from torch import Tensor

from datastill.data.coco import PERSON_KEYPOINTS, mirror_swap
from datastill.data.figures import draw
from datastill.data.images import unit_interval
from datastill.distill.ensemble import decode, probabilities
from datastill.distill.predict import Inference, predict
from datastill.distill.views import View, all_views
from datastill.model.detector import Detector, build_detector
from datastill.model.folding import fold

SCALES = {"small": (128, 64, 16), "resnet50": (800, 400, 100)}  # plain, smallest, step
SIZES = {"small": (320, 240), "resnet50": (640, 480)}


def how(backbone: str) -> Inference:
    """Return the paper's 18 views at the scale of `backbone`."""
    plain, smallest, step = SCALES[backbone]
    sides = [smallest + step * i for i in range(9)]
    views = all_views(sides, 4 * plain, flip=True)
    return Inference(View(plain, 4 * plain), views, mirror_swap(PERSON_KEYPOINTS))


@torch.inference_mode()
def naive(detector: Detector, images: list[Tensor], inference: Inference) -> list[Tensor]:
    """Return the keypoints (n, k, 3) of every image, one full forward pass per view."""
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
        plain = unit_interval(inference.plain.apply(image))
        boxes = inference.plain.boxes_back(full_pass(plain)["boxes"], image)
        total = torch.zeros(())
        for view in inference.views:
            pixels = unit_interval(view.apply(image))
            full_pass(pixels)
            batch, _ = detector.rcnn.transform([pixels])
            (logits,) = detector.heatmaps(batch, seen["features"], [view.boxes(boxes, image)])
            total = total + view.heatmaps_back(probabilities(logits), inference.swap)
        results.append(decode(total / len(inference.views), boxes))
    hook.remove()
    return results


def main() -> None:
    """Time both sides in turns and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end within 45 s on 2 cores")
    parser.add_argument("--backbone", choices=list(SCALES), default="small")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    detector = build_detector(arguments.backbone, len(PERSON_KEYPOINTS)).eval()
    for parameter in detector.rcnn.roi_heads.keypoint_predictor.parameters():
        parameter.data *= 1000  # untrained heatmaps are flat; steeper ones have a peak to compare
    folded = fold(copy.deepcopy(detector))  # as a trained one is loaded
    inference = how(arguments.backbone)
    count, rounds = (8, 3) if arguments.backbone == "small" else (1, 1)
    rounds *= 1 if arguments.quick else 3
    images = [
        torch.from_numpy(draw("benchmark", i, 0, "everyday", SIZES[arguments.backbone]).image)
        for i in range(count)
    ]
    images = [image.permute(2, 0, 1).contiguous() for image in images]
    seconds: dict[str, list[float]] = {"ours": [], "naive": []}
    for _ in range(rounds):
        began = time.perf_counter()
        ours = [found.keypoints for found in predict(folded, images, inference)]
        middle = time.perf_counter()
        theirs = naive(detector, images, inference)
        seconds["ours"].append(middle - began)
        seconds["naive"].append(time.perf_counter() - middle)
    apart = np.concatenate(
        [(a - b)[..., :2].norm(dim=-1).ravel() for a, b in zip(ours, theirs, strict=True)]
    )
    print(f"{arguments.backbone}, {count} images, 18 views, {torch.get_num_threads()} threads")
    print(f"keypoints within 0.5 px of each other: {100 * (apart <= 0.5).mean():.1f} %")
    for name, times in seconds.items():
        print(f"{name}: median {statistics.median(times) / count:.3f} s per image")
    ratio = statistics.median(seconds["naive"]) / statistics.median(seconds["ours"])
    print(f"ratio: {ratio:.2f}")


if __name__ == "__main__":
    main()
