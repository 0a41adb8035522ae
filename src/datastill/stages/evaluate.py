"""Stages `evaluate-supervised` and `evaluate-distilled`: the AP of one row's model on val."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from datastill.coco.format import Coco, Record, Task
from datastill.coco.metadata import build_metadata
from datastill.coco.results import coco_results
from datastill.evaluation.bootstrap import bootstrap, interval, match, paired_interval
from datastill.evaluation.coco_ap import AveragePrecision, evaluate
from datastill.images.load import load_image
from datastill.inference.multi_transform import predict
from datastill.inference.views import Inference
from datastill.io import digest, write_text
from datastill.model.checkpoint import load_detector
from datastill.model.detector import Detector
from datastill.progress import Steps
from datastill.project.image_sets import VAL, load
from datastill.project.profile import Profile
from datastill.project.provenance import code_version, environment
from datastill.stages.annotate import check_model, inference
from datastill.tracking.live import mirror_row

# Keypoints go without a bbox: COCO's own format has none, and pycocotools would take areas from it.
_DECIMALS = {"keypoints": {"score": 6, "keypoints": 4}, "boxes": {"score": 6, "bbox": 3}}


def run(profile: Profile, row: str) -> None:
    """Score the model of `row` on val, with an interval; note it beside its provenance."""
    params, code = profile.params, code_version()
    params.row(row)  # an ensemble has a model, too, but no metrics
    detector, card = load_detector(profile.weights(row))
    detector = detector.to("cuda" if torch.cuda.is_available() else "cpu")
    val = load(profile, VAL)
    what = build_metadata(val, params.task)
    check_model(profile, row, card, what)
    once = inference(profile, what, multi=False)
    plain = _detect(profile, detector, val, once)
    matches = match(val, plain, params.task, sigmas=what.sigmas)
    metrics = {
        "row": row,
        "task": params.task,
        **_percent(evaluate(val, plain, params.task, sigmas=what.sigmas), params.task),
        "images": len(val.images),
        "instances": len(val.annotations),
        "interval": _rounded(interval(bootstrap(matches, params.evaluate.resamples))),
        "provenance": {
            "weights": digest(profile.weights(row)),
            "fingerprint": card["fingerprint"],
            "val": digest(profile.image_set(VAL)),
            "precision": once.precision,
            **({"oks": what.skeleton.oks()} if what.sigmas else {}),
            "code": code,
            **environment(),
        },
    }
    if row in params.evaluate.with_views:
        all_views = inference(profile, what, multi=True)
        many = _detect(profile, detector, val, all_views)
        better = match(val, many, params.task, sigmas=what.sigmas)
        gain, bounds = paired_interval(matches, better, params.evaluate.resamples)
        metrics["with_views"] = {
            **_percent(evaluate(val, many, params.task, sigmas=what.sigmas), params.task),
            "views": len(all_views.views),
            "interval": _rounded(interval(bootstrap(better, params.evaluate.resamples))),
            "gain": round(gain, 2),
            "gain_interval": _rounded(bounds),
        }
        _write(profile.detections(row, all_views=True), many)
    _write(profile.detections(row), plain)
    write_text(profile.metrics(row), json.dumps(metrics, indent=2) + "\n")
    mirror_row(profile, row)


def _write(path: Path, detections: list[Record]) -> None:
    write_text(path, json.dumps(detections, separators=(",", ":")))


def _detect(profile: Profile, detector: Detector, val: Coco, how: Inference) -> list[Record]:
    """Return COCO results for every image of `val`."""
    results: list[Record] = []
    batch = profile.params.views.batch
    with Steps(f"testing with {len(how.views)} view(s)", len(val.images)) as steps:
        for start in range(0, len(val.images), batch):
            records = val.images[start : start + batch]
            pixels = [load_image(profile.images, r) for r in records]
            for record, instances in zip(records, predict(detector, pixels, how), strict=True):
                on_image = coco_results(instances, _DECIMALS[profile.params.task])
                results += [{"image_id": record["id"], **result} for result in on_image]
            steps.advance(len(records))
    return results


def _percent(measured: AveragePrecision, task: Task) -> dict[str, Any]:
    named = {
        "ap": measured.ap,
        "ap50": measured.ap50,
        "ap75": measured.ap75,
        "ap_small": measured.ap_small,
        "ap_medium": measured.ap_medium,
        "ap_large": measured.ap_large,
    }
    if task == "keypoints":
        del named["ap_small"]  # COCO has none
    return {name: None if value is None else round(value, 2) for name, value in named.items()}


def _rounded(bounds: tuple[float, float]) -> list[float]:
    return [round(bound, 2) for bound in bounds]
